"""What can happen to a run, as the adapters (controller, simulator) tell it to the state machine.

A worker is (slot, incarnation): the slot is the stable place that users see (worker 0, 1, ...), the incarnation counts the
processes that have sat in it. An event of an incarnation that sits there no longer changes nothing. ``generation``: the one
that the worker speaks of; what is said of an older one than the worker's present one changes nothing either. ``step``: the last
step that the worker has committed; None: it has no state (it never received one whole).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gdist.errors import GdistError


@dataclass(frozen=True)
class Placed:
    """A hired worker's process lives, on ``node``: there was room for it. It prepares itself now."""

    slot: int
    incarnation: int
    node: str | None = None


@dataclass(frozen=True)
class Ready:
    """A worker is prepared. ``hello``: what ``Member.prepare`` returns, with ``node`` (Ray's node id) and ``host``."""

    slot: int
    incarnation: int
    hello: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Entered:
    """A worker has formed the generation with its peers and holds the run's state; the first step follows."""

    slot: int
    incarnation: int
    generation: int
    step: int


@dataclass(frozen=True)
class Left:
    """A worker has left ``generation`` at a boundary, for a planned change in which it has no part (or is at its end)."""

    slot: int
    incarnation: int
    generation: int
    step: int


@dataclass(frozen=True)
class Broken:
    """A worker's generation broke under it: a peer is gone. It waits with its state."""

    slot: int
    incarnation: int
    generation: int
    step: int | None


@dataclass(frozen=True)
class Returned:
    """A worker has come to the end of the run; ``result``: what ``Member.work`` returns. It waits with its state."""

    slot: int
    incarnation: int
    generation: int
    step: int
    result: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Failed:
    """A worker failed by its own doing (user code, data, a refused job): an error that would come again."""

    slot: int
    incarnation: int
    generation: int
    step: int | None
    error: GdistError


@dataclass(frozen=True)
class Died:
    """A worker's process is gone: seen by its watch, told by Ray, or concluded from its node's silence. ``place``: (step,
    first micro-batch, one past the last) of the pass it was in, where its page says so; ``node``: where it ran."""

    slot: int
    incarnation: int
    error: GdistError
    place: tuple[int, int, int] | None = None
    node: str | None = None


@dataclass(frozen=True)
class Leaving:
    """A worker must leave soon: SIGTERM, a drained node, a spot instance's notice."""

    slot: int
    incarnation: int
    reason: str


@dataclass(frozen=True)
class Saved:
    """The answer to ``Save``. ``samples``: where the rows of the blamed micro-batches lie, in words."""

    slot: int
    incarnation: int
    step: int
    error: GdistError | None = None
    samples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """Somebody wants between ``least`` and ``most`` workers from now on (equal: a fixed number)."""

    least: int
    most: int
    reason: str = "asked to scale"


@dataclass(frozen=True)
class DrainNode:
    """All workers of ``node`` are to leave, and none is hired there any more."""

    node: str
    reason: str


@dataclass(frozen=True)
class WishRaised:
    """Somebody wants ``wish`` (gdist.records.Wish) of the run as a whole: stop, checkpoint, evaluate."""

    wish: str
    reason: str


@dataclass(frozen=True)
class Trouble:
    """The run cannot go on for a reason outside its workers (its folder cannot be written)."""

    error: GdistError


@dataclass(frozen=True)
class Tick:
    """Time has passed; deadlines are looked at."""


@dataclass(frozen=True)
class Retaken:
    """A controller that was restarted has heard from a worker of the run. ``state``: preparing, ready, training, broken,
    returned, left or failed; ``generation``: its present one (0: none yet); ``workers``: (slot, incarnation) by rank in it."""

    slot: int
    incarnation: int
    state: str
    generation: int
    step: int | None
    workers: tuple[tuple[int, int], ...]
    hello: dict[str, Any] = field(hash=False)
    result: dict[str, Any] | None = field(default=None, hash=False)
    error: GdistError | None = None


OfWorker = Placed | Ready | Entered | Left | Broken | Returned | Failed | Died | Leaving | Saved
Event = OfWorker | Scale | DrainNode | WishRaised | Trouble | Tick | Retaken
