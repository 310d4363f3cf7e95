"""How long a worker may be at one place before it counts as stuck: learned from its own times, told on its page.

    allowances = Allowances(page)
    allowances.begin()                               a generation begins: first passes may be slow
    allowances.enter("data", 7)                      step 7 (from 1); ends what was before, about a microsecond
    allowances.enter("compute", 7, 2, 4)             ... [2, 4) are the micro-batches of this pass
    with allowances.section("callback", 7): ...      within another section, which goes on afterwards
    with allowances.peers: ...                       waiting for others is nobody's own time

A section that is measured may take max(2 s, 5 times the 99th percentile of its times), less what a recovery takes, so that the
others step again within that time. Its first passes in a generation, which may compile or warm up, may take ``first_s``.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from gdist.worker.page import Page

FLOOR_S = 2.0
TIMES_P99 = 5.0
RECOVERY_S = 0.6  # to see it, to kill the worker and to form a generation without it
COMPILED_S = 300.0  # where torch's compiler is at work, any pass may compile anew
FIRST_PASSES = 10  # of a generation
ENOUGH = 20  # times, to know a percentile
REMEMBERED = 1024
LEARN_EVERY = 128

MEASURED_S = {"compute": 600.0, "reduce": 600.0, "update": 600.0, "evaluate": 600.0, "predict": 600.0}
FIXED_S = {
    "data": 600.0,  # storage has deadlines of its own, which say more
    "copy": 600.0,  # of the state, for a checkpoint
    "boundary": 600.0,  # between two steps: lines, rules, what is due
    "callback": 1800.0,  # the user's code
    "prepare": 3600.0,
    "join": 1800.0,
    "learn": 3600.0,  # from a piece of the data
    "load": 600.0,
    "finish": 1800.0,
    "peers": math.inf,
    "idle": math.inf,
}


@dataclass
class _Known:
    """What is known of a section's times. ``allowed``: what holds now."""

    phase: bytes
    first_s: float
    measured: bool
    allowed: float = 0.0
    fresh: int = FIRST_PASSES
    count: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def begin(self) -> None:
        self.fresh = FIRST_PASSES
        self.allowed = self.first_s

    def note(self, seconds: float) -> None:
        if self.fresh:
            self.fresh -= 1
            if not self.fresh:
                self.learn()
            return
        self.times.append(seconds)
        self.count += 1
        if self.count % LEARN_EVERY == 0 or self.count == ENOUGH:
            self.learn()

    def learn(self) -> None:
        if len(self.times) >= ENOUGH:
            ordered = sorted(self.times)
            p99 = ordered[math.ceil(0.99 * len(ordered)) - 1]
            self.allowed = max(FLOOR_S, TIMES_P99 * p99) - RECOVERY_S
            if self.measured and _compiles():
                self.allowed = max(self.allowed, COMPILED_S)


def _compiles() -> bool:
    """Whether torch's compiler has had anything to compile in this process; torch itself loads it for less."""
    return getattr(sys.modules.get("torch._dynamo.convert_frame"), "FRAME_COUNTER", 0) > 0


class Allowances:
    """One a worker, used by its training thread."""

    def __init__(self, page: Page) -> None:
        measured = {name: _Known(name.encode(), s, True) for name, s in MEASURED_S.items()}
        self._known = measured | {name: _Known(name.encode(), s, False) for name, s in FIXED_S.items()}
        self._page = page
        self._now = self._known["idle"]
        self._where = (0, -1, -1)
        self._since = time.monotonic()
        self._allowed = math.inf
        self.peers = _Peers(self)
        self.begin()

    def begin(self) -> None:
        """A generation begins: the first passes of each kind may be slow again; what was learned is kept for those after."""
        for known in self._known.values():
            known.begin()

    def enter(self, name: str, step: int = 0, first: int = -1, last: int = -1, *, allowed: float | None = None) -> None:
        """The training thread is at ``name`` from now on (a key of ``MEASURED_S`` or ``FIXED_S``), and no more where it was.
        ``allowed``: seconds, where somebody knows better than this table."""
        now = time.monotonic()
        before = self._now
        if before.measured:
            before.note(now - self._since)
        known = self._now = self._known[name]
        self._since, self._where = now, (step, first, last)
        self._allowed = known.allowed if allowed is None else allowed
        self._page.put(known.phase, step, first, last, now, self._allowed)

    def section(self, name: str, step: int = 0, first: int = -1, last: int = -1, *, allowed: float | None = None) -> Section:
        """Within it the training thread is at ``name``; then it goes on where it was, without that time."""
        return Section(self, name, (step, first, last), allowed)

    def tell(self) -> None:
        """Writes the present place again."""
        self._page.put(self._now.phase, *self._where, self._since, self._allowed)


class Section:
    """Made by ``Allowances.section``."""

    def __init__(self, of: Allowances, name: str, where: tuple[int, int, int], allowed: float | None) -> None:
        self._of, self._name, self._place, self._limit = of, name, where, allowed

    def __enter__(self) -> None:
        of, (step, first, last) = self._of, self._place
        self._before = (of._now, of._where, of._since, of._allowed)
        self._begun = time.monotonic()
        of._now = of._known["idle"]  # what was before goes on: nothing to note of it yet
        of.enter(self._name, step, first, last, allowed=self._limit)

    def __exit__(self, *_: object) -> None:
        of, now = self._of, time.monotonic()
        if of._now.measured:
            of._now.note(now - of._since)
        of._now, of._where, since, of._allowed = self._before
        of._since = since + now - self._begun
        of.tell()


class _Peers:
    """Entered around each wait for another worker; not within itself."""

    def __init__(self, of: Allowances) -> None:
        self._of = of
        self._phase = b"peers"
        self._begun = 0.0

    def __enter__(self) -> None:
        now = self._begun = time.monotonic()
        of = self._of
        of._page.put(self._phase, *of._where, now, math.inf)

    def __exit__(self, *_: object) -> None:
        of = self._of
        of._since += time.monotonic() - self._begun
        of.tell()
