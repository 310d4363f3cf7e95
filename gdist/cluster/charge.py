"""What a controller is given by its driver, and what it answers in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gdist.errors import GdistError
from gdist.records import Order


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What a controller is given by the driver that starts it."""

    run_id: str
    order: Order
    workers: int
    given: bool  # the number of workers is the user's own
    address: str
    driver_host: str
    driver_pid: int
    driver_started: int | None
    folder: str  # where the user's command ran
    reserved: bool  # a placement group of the run's id holds its room on the cluster


@dataclass(frozen=True)
class Outcome:
    """How a run ended, for the driver."""

    result: dict[str, Any] | None
    error: GdistError | None
