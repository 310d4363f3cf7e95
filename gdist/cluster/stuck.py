"""Whether a worker's process is stuck: stopped, or longer at one place than its own page allows. Pure but for what it reads."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdist.worker.page import read_page

LOOK_EVERY_S = 0.1
STOPPED_LOOKS = 15  # in a row, of a process in state T: one that is let go on soon costs nobody a worker
LATE_S = 0.3  # more than this after its time, and a look says that this machine (or who looks) was itself held up


@dataclass
class Clock:
    """Of whoever looks: while it was held up, so was everybody else, as far as it can know."""

    _last: float | None = None
    _held_up: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=64))

    def look(self) -> float:
        """The time, once in each round of looks."""
        now = time.monotonic()
        if self._last is not None and (late := now - self._last - LOOK_EVERY_S) > LATE_S:
            self._held_up.append((now, late))
        self._last = now
        return now

    def held_up(self, since: float) -> float:
        """Seconds lost to that after ``since``."""
        return sum(late for end, late in self._held_up if end > since)


@dataclass
class Look:
    """At one worker, again and again."""

    pid: int
    page: Path
    _stopped: int = 0

    def stuck(self, clock: Clock, now: float) -> dict[str, Any] | None:
        """What the event ``hung`` says of it, but for who it is; None: it gets on, or waits for others."""
        stopped = process_state(self.pid) == "T"
        self._stopped = self._stopped + 1 if stopped else 0
        place = read_page(self.page)
        if self._stopped >= STOPPED_LOOKS:
            told = {"phase": f"{place.phase} (stopped)", "step": place.step} if place else {"phase": "stopped", "step": 0}
            return {**told, "seconds": self._stopped * LOOK_EVERY_S, "allowed_seconds": STOPPED_LOOKS * LOOK_EVERY_S}
        if place is None or place.overdue(now) <= clock.held_up(place.time):
            return None
        return {
            "phase": place.phase,
            "step": place.step,
            "seconds": now - place.time,
            "allowed_seconds": place.allowed,
        }


def process_state(pid: int) -> str:
    """R, S, D, T, Z ...; empty: there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""
