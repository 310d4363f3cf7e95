"""What a controller is given by its driver, and what it answers in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gdist.errors import GdistError
from gdist.records import Order


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What all workers of a run are hired for, whenever that is. ``embedded``: the Ray is this run's own, and one machine."""

    run_id: str
    order: Order
    made: bytes | None  # what of the order was made in Python: its job, its data (sent_job.py)
    folder: str  # where the user's command ran
    threads: int  # of torch's kernels
    cpus: float
    gpus: float
    embedded: bool


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What a controller is given by the driver that starts it. ``first``: how many workers the driver itself hires (slots
    from 0, incarnation 0); on a shared cluster a placement group of the run's id holds their room."""

    terms: Terms
    first: int
    least: int
    most: int
    given: bool  # the number of workers is the user's own
    address: str
    driver_host: str
    driver_pid: int
    driver_started: int | None


@dataclass(frozen=True)
class Outcome:
    """How a run ended, for the driver."""

    result: dict[str, Any] | None
    error: GdistError | None
