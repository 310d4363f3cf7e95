"""A pass's samples: loaded, changed by the job's transform micro-batch by micro-batch, and kept for a step's later phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Generator

from gdist.data.batch import Batch
from gdist.data.read_ahead import Span
from gdist.engine.plan import Cut, Pass
from gdist.engine.streams import mix
from gdist.errors import JobError

Load = Callable[[int, int, int], Batch]
Transform = Callable[[Batch, Generator], Batch | Mapping[str, Any]]

_TRANSFORM = -2  # takes the place of a phase: the same numbers in all phases of a step


class Batches:
    """``load(epoch, start, stop)``: the samples at these positions. ``several``: whether a step has more than one phase,
    which then see the same batches; they are loaded once. ``least_rows``: a pass of which bad rows leave fewer (batch norm
    cannot normalize one) counts the rest as bad, too."""

    def __init__(
        self,
        load: Load,
        *,
        transform: Transform | None,
        seed: int,
        device: torch.device,
        several: bool,
        least_rows: int = 1,
    ) -> None:
        self._load = load
        self._transform = transform
        self._seed = seed
        self._rng = Generator(device=device)
        self._several = several
        self._least_rows = least_rows
        self._kept: dict[Span, Batch] = {}  # of the step under way
        self._step = -1
        self.left_out: frozenset[tuple[int, int]] = frozenset()  # (step, micro-batch) whose rows all count as bad
        self.taken: Span | None = None  # epoch and positions of the pass that was loaded last

    def load(self, cut: Cut, share: Pass) -> Batch:
        """The samples of one pass of a step. Raises JobError where the transform gives no batch of as many rows."""
        self.taken = (cut.epoch, share.start, share.stop)
        if not self._several:
            return self._make(cut, share)
        if cut.step != self._step:
            self._kept.clear()
            self._step = cut.step
        key: Span = (cut.epoch, share.start, share.stop)
        if key not in self._kept:
            self._kept[key] = self._make(cut, share)
        kept = self._kept[key]
        return Batch(dict(kept.columns), stamp=kept.stamp, bad=kept.bad)

    def forget(self) -> None:
        """The step under way is given up: what was loaded for it is another worker's share next time."""
        self._kept.clear()
        self._step = -1

    def spans(self, cut: Cut, share: Pass) -> Iterator[Span]:
        """What ``load`` asks for, so that it can be read ahead: (epoch, first position, one past the last)."""
        if self._transform is None and not self._leaves_out(cut, share):
            yield cut.epoch, share.start, share.stop
        else:
            for i in range(share.first, share.first + share.count):
                yield cut.epoch, cut.bounds[i], cut.bounds[i + 1]

    def _make(self, cut: Cut, share: Pass) -> Batch:
        batch = self._read(cut, share)
        return _all_bad(batch) if batch.bad and batch.rows < self._least_rows else batch

    def _leaves_out(self, cut: Cut, share: Pass) -> bool:
        return bool(self.left_out) and any((cut.step, share.first + i) in self.left_out for i in range(share.count))

    def _read(self, cut: Cut, share: Pass) -> Batch:
        read = [self._load(*span) for span in self.spans(cut, share)]
        if self._leaves_out(cut, share):
            read = [_all_bad(b) if (cut.step, share.first + i) in self.left_out else b for i, b in enumerate(read)]
        elif self._transform is None:
            return read[0]
        changed = [
            self.transformed(batch, step=cut.step, micro_batch=share.first + i) for i, batch in enumerate(read) if batch.rows
        ]
        batch = Batch.joined(changed) if len(changed) > 1 else changed[0] if changed else read[0]
        batch.stamp, batch.bad = sum(part.stamp for part in read) % (1 << 64), sum(part.bad for part in read)
        return batch

    def transformed(self, batch: Batch, *, step: int, micro_batch: int) -> Batch:
        """``batch`` changed by the job's transform, with the random numbers of this micro-batch."""
        if self._transform is None:
            return batch
        changed = self._transform(batch, self._rng.manual_seed(mix(self._seed, step, _TRANSFORM, micro_batch)))
        columns = dict(changed.columns if isinstance(changed, Batch) else changed) if changed is not None else {}
        rows = {name: len(column) if hasattr(column, "shape") else None for name, column in columns.items()}
        if not columns or set(rows.values()) != {batch.rows}:
            got = ", ".join(f"`{name}` of {n} rows" for name, n in rows.items()) or "nothing"
            raise JobError(
                f"the transform gave {got} for a batch of {batch.rows} rows",
                where="transform(batch, rng)",
                help="return a Batch, or a dict of tensors by name, with as many rows as it got",
            )
        return Batch(columns, stamp=batch.stamp, bad=batch.bad)


def _all_bad(batch: Batch) -> Batch:
    """The same read, none of it used."""
    empty = batch.slice(0, 0)
    empty.stamp, empty.bad = batch.stamp, batch.bad + batch.rows
    return empty
