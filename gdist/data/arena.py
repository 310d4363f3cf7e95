"""Memory for the rows of many row groups: one array a tensor, of which each row group fills a part.

All rows lie in the same few arrays, so that a batch of rows from many row groups is one gather a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdist.data.batch import Batch
from gdist.data.columns import TensorPlan

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Slot:
    """Memory for one row group: ``tensors`` by name, shape (rows, width) each; ``stamps`` int64 and ``bad`` bool, shape
    (rows,). ``first``: where it begins in the arena."""

    first: int
    tensors: dict[str, np.ndarray]
    stamps: np.ndarray
    bad: np.ndarray


class Arena:
    """``rows`` rows of the planned tensors. Memory is taken when it is first written to."""

    def __init__(self, plans: list[TensorPlan], *, rows: int) -> None:
        import numpy as np

        self.rows = rows
        self._arrays = {plan.name: np.empty((rows, plan.width), dtype=plan.dtype) for plan in plans}
        self._stamps = np.empty(rows, dtype=np.int64)
        self._bad = np.zeros(rows, dtype=bool)
        self._any_bad = False
        self._shapes = {plan.name: plan.shape for plan in plans}

    def span(self, first: int, stop: int) -> Slot:
        """Rows ``first`` to ``stop``, to be filled."""
        span = slice(first, stop)
        return Slot(first, {n: array[span] for n, array in self._arrays.items()}, self._stamps[span], self._bad[span])

    def filled(self, slot: Slot) -> None:
        """Says that a slot has its rows; from the first bad row on, batches are looked through for them."""
        self._any_bad = self._any_bad or bool(slot.bad.any())

    def take(self, rows: np.ndarray) -> Batch:
        """The samples in these rows of the arena, in fresh memory; bad ones left out and counted."""
        import numpy as np
        import torch

        bad = 0
        stamp = int(np.add.reduce(self._stamps.take(rows)))  # wraps around: modulo 2**64
        if self._any_bad:
            good = ~self._bad[rows]
            bad = len(rows) - int(good.sum())
            if bad:
                rows = rows[good]
        columns = {  # for a few hundred rows, numpy's take costs half of what torch's index_select does
            name: torch.from_numpy(array.take(rows, axis=0)).view(len(rows), *self._shapes[name])
            for name, array in self._arrays.items()
        }
        return Batch(columns, stamp=stamp, bad=bad)
