"""What a controller tells workers and agents to do. They pull their orders; nobody calls into a worker."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from gdist.records import Membership, Wish


@dataclass(frozen=True)
class Join:
    """To a worker that is not stepping: enter this generation and train. One that still forms an earlier one gives that up."""

    membership: Membership


@dataclass(frozen=True)
class Change:
    """To a worker that is stepping: leave at the boundary at which all of its generation know this next one, and enter it, or,
    with rank -1, wait."""

    membership: Membership


@dataclass(frozen=True)
class WishFor:
    """To a worker: raise a wish; its loop puts it on the next step's control row."""

    wish: Wish
    reason: str


@dataclass(frozen=True)
class SaveNow:
    """To a worker whose training has ended: write a checkpoint of the last good step. ``blame``: micro-batches (step, first,
    one past the last) whose samples it is to name."""

    blame: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Exit:
    """To a worker or an agent: its part is over, its process ends."""


@dataclass(frozen=True)
class WatchWorker:
    """To an agent: report the death of this process at once, and what it prints."""

    slot: int
    incarnation: int
    pid: int
    started: int | None  # clock ticks since boot: tells a reused pid


@dataclass(frozen=True)
class Kill:
    """To an agent: SIGKILL to these workers (slot, incarnation) that it watches."""

    workers: tuple[tuple[int, int], ...]


Order = Join | Change | WishFor | SaveNow | Exit | WatchWorker | Kill


@dataclass(kw_only=True)
class Standing:
    """Where a worker stands, as it says with each pull, so that a controller that was restarted can take the run up.
    ``state``: preparing, ready, training, broken, returned, left or failed; the rest as in ``gdist.membership.events``."""

    state: str = "preparing"
    generation: int = 0
    step: int | None = None
    workers: tuple[tuple[int, int], ...] = ()
    hello: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    started: dict[str, Any] = field(default_factory=dict)  # pid, start_time, host, node


@dataclass(frozen=True, kw_only=True)
class Answer:
    """To a pull. ``controller``: which of the run's controllers answers, and how often it has missed something: should either
    change, what is not known to be written is said again; ``written_step``: the last step whose metric line is
    in the run's folder."""

    orders: list[tuple[int, Order]]
    controller: tuple[int, int]
    written_step: int = 0


class Mailbox:
    """Orders that wait for a member to pull them. What was not acknowledged (``after``) is handed out again. Numbers begin at
    the time, so that those of a restarted controller come after its predecessor's."""

    def __init__(self) -> None:
        self._orders: list[tuple[int, Order]] = []
        self._count = time.time_ns()

    def put(self, order: Order) -> None:
        self._count += 1
        self._orders.append((self._count, order))

    def after(self, number: int) -> list[tuple[int, Order]]:
        """The orders past ``number``; those up to it are forgotten."""
        self._orders = [(n, order) for n, order in self._orders if n > number]
        return list(self._orders)
