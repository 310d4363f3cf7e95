"""Wall-clock time over the timed steps of a run, the same for every contender: ``tick()`` at the end of each step.

The first ``warm_up`` steps are not timed; the time of ``steps`` steps after them, divided by ``steps``, is the result.
Whatever a trainer does between two steps (data, logging, hooks) is part of it. Worker 0 writes the result to ``path`` as
JSON: ``ms``, and ``cpu_ms``, the processor time of all its threads, which a busy machine changes less.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workloads import Workload


class Stopwatch:
    def __init__(self, *, warm_up: int, steps: int, path: str | None) -> None:
        self.warm_up, self.last, self.path = warm_up, warm_up + steps, path
        self.step = 0
        self.first_step_at = self.started = self.cpu_started = 0.0

    @classmethod
    def of(cls, workload: Workload, *, path: str | None) -> Stopwatch:
        """The workload's counts of steps, unless step.py was told others; only worker 0 writes."""
        first = os.environ.get("RANK", "0") == "0" and os.environ.get("LOCAL_RANK", "0") == "0"
        return cls(
            warm_up=int(os.environ.get("BENCH_WARM_UP") or workload.warm_up),
            steps=int(os.environ.get("BENCH_STEPS") or workload.steps),
            path=path if first else None,
        )

    def tick(self) -> bool:
        """Counts a step; true once all are done."""
        self.step += 1
        if self.step == 1:
            self.first_step_at = time.time()
        if self.step == self.warm_up:
            self.started, self.cpu_started = time.perf_counter(), time.process_time()
        if self.step == self.last:
            scale = 1e3 / (self.last - self.warm_up)
            ms, cpu_ms = (time.perf_counter() - self.started) * scale, (time.process_time() - self.cpu_started) * scale
            if self.path:
                found = {"ms": ms, "cpu_ms": cpu_ms, "first_step_at": self.first_step_at}
                Path(self.path).write_text(json.dumps(found))
        return self.step >= self.last
