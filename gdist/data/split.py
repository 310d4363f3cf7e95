"""Holding rows out for validation: which ones depends on (number of rows, share, seed) alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.data.order import permute
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_HOLD_OUT = 2**63  # takes the place of an epoch that no run reaches: the split is independent of every epoch's order


def hold_out(n: int, *, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(training rows, validation rows): both int64, ascending, together each of range(n) once.

    ``share``: of the rows that are held out, between 0 and 1; at least one row is held out and at least one is left.
    Raises DataError for a share outside of it, or fewer than two rows.
    """
    import numpy as np

    if not 0 < share < 1:
        raise DataError(f"cannot hold out a share of {share} of the rows", help="a share lies between 0 and 1, such as 0.1")
    if n < 2:
        raise DataError(f"cannot split {n} row{'' if n == 1 else 's'} into training and validation", help="name separate files")
    held = min(max(round(n * share), 1), n - 1)
    chosen = np.zeros(n, dtype=bool)
    chosen[permute(np.arange(held), n=n, seed=seed, epoch=_HOLD_OUT)] = True
    return np.flatnonzero(~chosen).astype(np.int64), np.flatnonzero(chosen).astype(np.int64)
