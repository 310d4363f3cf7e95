"""What each worker of a contender writes down itself: a line for every update of the weights that it has applied.

A file a process in ``$BENCH_RECORDS``, named by its pid; a line is "step monotonic-seconds". The step's number lies in the
optimizer's own state: it goes back where the weights go back. One host, so all clocks are the same.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


class Watched(torch.optim.AdamW):
    """AdamW that notes each step after it was applied: 3 us."""

    def step(self, closure: Any = None) -> Any:
        value = super().step(closure)
        folder = os.environ.get("BENCH_RECORDS")
        if folder:
            number = int(next(iter(self.state.values()))["step"])
            os.write(_file(folder), f"{number} {time.monotonic():.6f}\n".encode())
        return value


_open: dict[str, int] = {}


def _file(folder: str) -> int:
    path = str(Path(folder, str(os.getpid())))
    if path not in _open:
        _open[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return _open[path]


@dataclass(frozen=True, order=True)
class Taken:
    """``time``: monotonic seconds at which ``pid`` had applied ``step``."""

    time: float
    step: int
    pid: int


def read_records(folder: Path) -> list[Taken]:
    """All workers' records in the order of time. A line cut off by a kill is left out."""
    taken = []
    for path in folder.iterdir():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                step, at = line.split()
                taken.append(Taken(float(at), int(step), int(path.name)))
    return sorted(taken)


def gap(taken: Iterable[Taken], *, since: float) -> tuple[float, float, float]:
    """(seconds, from, to): the longest time without an applied step that ends after ``since``."""
    times = [each.time for each in taken]
    pairs = [(after - before, before, after) for before, after in itertools.pairwise(times) if after > since]
    if not pairs:
        raise ValueError("no step was taken after the fault")
    return max(pairs)


def redone(taken: list[Taken], *, since: float, victims: Iterable[int] = ()) -> int:
    """How many steps were taken again although a worker other than ``victims`` had applied them: by the same process, or by
    another one after the longest gap, across which the run went back."""
    lost = set(victims)
    _, before, after = gap(taken, since=since)
    kept = {each.step for each in taken if each.time <= before and each.pid not in lost}
    again = {each.step for each in taken if each.time >= after} & kept
    seen: set[tuple[int, int]] = set()
    for each in taken:
        if each.pid not in lost and (each.pid, each.step) in seen:
            again.add(each.step)
        seen.add((each.pid, each.step))
    return len(again)
