"""The faults: what each does to a run, at a random time, drawn from one seed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdist.cluster.reach import Reached
from gdist.cluster.reaper import birth, descendants

SIZES = (2, 3, 4)  # workers wanted; a run begins with the middle one
MEAN_WAIT_S = 0.3
MOST_WAIT_S = 1.5
FORMING_S = 0.08  # a generation forms within so long after a death


@dataclass
class Run:
    """A run under faults. ``driver``: the pid of ``gdist train``; ``size``: the workers wanted."""

    controller: Reached
    driver: int
    chance: random.Random
    size: int = SIZES[1]
    victims: list[int] = field(default_factory=list)  # pids

    def members(self) -> list[dict[str, Any]]:
        """Workers of the generation in force whose process lives."""
        return [each for each in self.controller.describe()["workers"] if each["member"] and birth(each["pid"]) is not None]

    def choose(self, count: int = 1) -> list[int]:
        """Pids of members; the one of rank 0, which leads and is the source of the state, more often than others."""
        pids = [each["pid"] for each in self.members()]
        if not pids:
            return []
        first = [pids[0]] if self.chance.random() < 0.3 else []
        others = [pid for pid in pids if pid not in first]
        self.chance.shuffle(others)
        return (first + others)[:count]

    def signal(self, pids: list[int], number: signal.Signals) -> str:
        self.victims += pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return ", ".join(map(str, pids)) or "nobody"

    def scale(self, size: int) -> str:
        self.size = size
        self.controller.scale(size, size)
        return f"to {size}"


def kill(run: Run) -> str:
    return run.signal(run.choose(), signal.SIGKILL)


def stop(run: Run) -> str:
    return run.signal(run.choose(), signal.SIGSTOP)


def drain(run: Run) -> str:
    return run.signal(run.choose(), signal.SIGTERM)


def scale_up(run: Run) -> str:
    return run.scale(min(run.size + 1, SIZES[-1]))


def scale_down(run: Run) -> str:
    return run.scale(max(run.size - 1, SIZES[0]))


def controller(run: Run) -> str:
    pids = [pid for pid in descendants(run.driver) if title(pid).startswith("ray::Controller")]
    return run.signal(pids, signal.SIGKILL)


def two_at_once(run: Run) -> str:
    """Now and then these are all that there are: the run goes back to its checkpoint by itself."""
    return run.signal(run.choose(2), signal.SIGKILL)


def during_forming(run: Run) -> str:
    """A second one dies while the generation without the first forms."""
    pids = run.choose(2)
    first = run.signal(pids[:1], signal.SIGKILL)
    time.sleep(run.chance.uniform(0, FORMING_S))
    return f"{first}, then {run.signal(pids[1:], signal.SIGKILL)}"


FAULTS: dict[str, Callable[[Run], str]] = {
    each.__name__: each for each in (kill, stop, drain, scale_up, scale_down, controller, two_at_once, during_forming)
}


def schedule(count: int, chance: random.Random) -> list[tuple[float, str]]:
    """(seconds to wait, fault), each kind once before any comes again at random."""
    names = list(FAULTS)
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += chance.sample(names, len(names)) if not drawn else [chance.choice(names)]
    return [(min(chance.expovariate(1 / MEAN_WAIT_S), MOST_WAIT_S), name) for name in drawn[:count]]


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""
