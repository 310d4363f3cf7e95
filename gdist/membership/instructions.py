"""What the state machine wants done; the adapters translate it. Every instruction may be given twice without harm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gdist.errors import GdistError

Worker = tuple[int, int]  # slot, incarnation


@dataclass(frozen=True)
class Hire:
    """Start a worker, once there is room for it; not on ``avoid`` (nodes) if that can be."""

    slot: int
    incarnation: int
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dismiss:
    """The worker's part is over: it exits by itself, and is killed if it does not; a pending placement is withdrawn."""

    slot: int
    incarnation: int


@dataclass(frozen=True)
class Kill:
    """SIGKILL by pid, and nothing it says counts any more."""

    slot: int
    incarnation: int
    reason: str


@dataclass(frozen=True)
class Form:
    """A new generation of ``workers``, by rank.

    ``source``: the rank whose state counts, the most advanced; None: nobody has any: all begin anew, or, with ``restore``, from
    the newest good checkpoint. ``planned``: the members of the present generation are in it still and leave it at the first
    boundary at which all of them know this one (``Change``), ``leaving`` those without a part in the new one; else whoever is
    named waits and enters at once (``Join``). ``skip``: (step, first, one past the last) of micro-batches to leave out.
    """

    generation: int
    workers: tuple[Worker, ...]
    source: int | None
    restore: bool
    planned: bool
    reason: str
    leaving: tuple[Worker, ...] = ()
    skip: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Save:
    """The worker, whose training has ended, writes a checkpoint of its last good step; ``blame``: micro-batches (step, first,
    one past the last) whose samples it is to name."""

    slot: int
    incarnation: int
    blame: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Ask:
    """Raise a wish in every worker of the present generation."""

    wish: str
    reason: str


@dataclass(frozen=True)
class Say:
    """An event for ``events.jsonl`` and the display."""

    name: str
    fields: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class End:
    """The run is over: with a result, an error, or neither (stopped before it began, or while nobody was left). ``step``: the
    last one; None: that of the newest checkpoint, since nobody is left who has the steps after it."""

    result: dict[str, Any] | None = field(default=None, hash=False)
    error: GdistError | None = None
    reason: str = ""
    step: int | None = 0


Instruction = Hire | Dismiss | Kill | Form | Save | Ask | Say | End
