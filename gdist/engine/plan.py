"""Which samples make a step, how they are cut into micro-batches, and who computes which.

The cut depends on (samples, batch size, micro-batches, step) and on nothing else; only ``owned`` knows how many workers
there are. A short last batch keeps the bounds of the full one and uses fewer of its micro-batches.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward and backward: micro-batches [first, first + count) of a step, samples [start, stop) of its epoch."""

    first: int
    count: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Cut:
    """A step's micro-batches: number i holds the epoch's positions [bounds[i], bounds[i + 1])."""

    step: int
    epoch: int
    bounds: tuple[int, ...]

    @property
    def micro_batches(self) -> int:
        return len(self.bounds) - 1

    @property
    def rows(self) -> int:
        return self.bounds[-1] - self.bounds[0]


class Plan:
    """The steps of a run as a pure function of the step's number.

    ``samples`` per epoch, ``batch_size`` samples a step, ``micro_batches`` a step (at most ``batch_size``); ``pass_rows`` is
    the most samples that may be merged into one pass, or None where every micro-batch is a pass of its own; ``least_rows``: a
    short batch's last micro-batch with fewer rows joins the one before it (batch norm cannot normalize a single row).
    """

    def __init__(
        self, samples: int, *, batch_size: int, micro_batches: int, pass_rows: int | None = None, least_rows: int = 1
    ) -> None:
        self.samples = samples
        self.batch_size = min(batch_size, samples)
        self.micro_batches = min(micro_batches, self.batch_size)
        self.pass_rows = pass_rows
        self.least_rows = least_rows
        self.steps_per_epoch = -(-samples // self.batch_size)
        self._bounds = tuple(i * self.batch_size // self.micro_batches for i in range(self.micro_batches + 1))

    def cut(self, step: int) -> Cut:
        """The cut of step ``step`` (from 0, over all epochs)."""
        epoch, within = divmod(step, self.steps_per_epoch)
        start = within * self.batch_size
        rows = min(self.batch_size, self.samples - start)
        if rows == self.batch_size:
            return Cut(step, epoch, tuple(start + bound for bound in self._bounds))
        kept = [bound for bound in self._bounds if bound < rows]
        if len(kept) > 1 and rows - kept[-1] < self.least_rows:
            kept.pop()
        return Cut(step, epoch, tuple(start + bound for bound in (*kept, rows)))

    def passes(self, cut: Cut, *, rank: int, size: int) -> list[Pass]:
        """The passes that worker ``rank`` of ``size`` computes of ``cut``, in order."""
        if cut.rows == self.batch_size:  # all full steps alike, but for where they begin
            start = cut.bounds[0]
            return [Pass(p.first, p.count, start + p.start, start + p.stop) for p in self._full_passes(rank, size)]
        return self._passes(cut, rank, size)

    def _passes(self, cut: Cut, rank: int, size: int) -> list[Pass]:
        mine = owned(cut.micro_batches, rank=rank, size=size)
        passes: list[Pass] = []
        for i in mine:
            start, stop = cut.bounds[i], cut.bounds[i + 1]
            last = passes[-1] if passes else None
            if last and self.pass_rows is not None and stop - last.start <= self.pass_rows:
                passes[-1] = Pass(last.first, last.count + 1, last.start, stop)
            else:
                passes.append(Pass(i, 1, start, stop))
        return passes

    @functools.lru_cache(maxsize=64)  # noqa: B019  (a plan lives as long as its run)
    def _full_passes(self, rank: int, size: int) -> list[Pass]:
        return self._passes(Cut(0, 0, self._bounds), rank, size)

    def unmerged(self) -> Plan:
        """The same steps, every micro-batch a pass of its own."""
        return Plan(self.samples, batch_size=self.batch_size, micro_batches=self.micro_batches, least_rows=self.least_rows)

    def even_workers(self) -> list[int]:
        """The worker counts that share a full step's micro-batches evenly."""
        return [n for n in range(1, self.micro_batches + 1) if self.micro_batches % n == 0]


def owned(count: int, *, rank: int, size: int) -> range:
    """The contiguous share of ``count`` micro-batches that worker ``rank`` of ``size`` computes; they differ by one at most."""
    return range(rank * count // size, (rank + 1) * count // size)


def digest(**facts: Any) -> int:
    """32 bits that differ where two workers do not agree on what they train."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
