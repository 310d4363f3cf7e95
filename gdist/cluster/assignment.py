"""What a worker is given when it is hired."""

from __future__ import annotations

from dataclasses import dataclass

from gdist.records import Order


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What a worker is given. ``folder``: where the user's command ran; ``threads`` of torch's kernels; ``one_machine``: all
    workers are on this one, so that they meet on loopback."""

    run_id: str
    slot: int
    incarnation: int
    order: Order
    made: bytes | None  # what of the order was made in Python: its job, its data (sent_job.py)
    folder: str
    threads: int
    one_machine: bool
