"""Medians in bounded memory, the same at any order of the values and any number of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.data.learned.counts import counts_of
from gdist.data.learned.values import flatten, numbers, to_arrow, whole

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_DROPPED_BITS = 42  # of a float64's 64, for a bin
_BELOW_SIGN = 0x7FFF_FFFF_FFFF_FFFF
_WAITING = 9 << 13  # values that are not yet counted: more than may be exact, though a tenth of them be doubles


class Median:
    """The middle value of one column, or of one element of its lists.

    Exact up to ``EXACT_VALUES`` distinct values. Beyond, the values are counted by the leading 22 bits of their float64 (sign,
    exponent, 10 bits of the fraction), and the median is the middle of its bin: off by at most 2**-11 (0.05 %) of its value.
    Counts by value become counts by bin at any time with the same outcome, so that both depend on the column's values alone.
    """

    EXACT_VALUES = 1 << 16
    overflow = False

    def __init__(self) -> None:
        self.coarse = False
        self._raw: list[np.ndarray] = []  # not yet counted
        self._waiting = 0
        self._united: tuple[np.ndarray, np.ndarray] | None = None  # values or bins, ascending, each once; how many of each

    def add(self, column: pa.Array) -> None:
        """Takes numbers without nulls or NaN."""
        values = flatten(column).values
        self._raw.append(_bins(values) if self.coarse else values + values.dtype.type(0))  # -0.0 becomes 0.0
        self._waiting += len(values)
        if self._waiting > _WAITING:
            self._count()

    def unite(self, counts: pa.Table, *, coarse: bool = False) -> None:
        """Adds what ``table`` gave, of another worker, ``coarse`` as it was there."""
        if not len(counts):
            return
        values, number = numbers(whole(counts["value"])), counts_of(counts)
        if coarse:
            self._coarsen()
        elif self.coarse:
            values, number = _united(_bins(values), number)
        self._include(values, number)

    def table(self) -> pa.Table:
        """Columns ``value`` (ascending, each once; bins if ``coarse``) and ``count`` (int64)."""
        import pyarrow as pa

        self._count()
        if self._united is None:
            return pa.table({"value": pa.nulls(0, pa.int32()), "count": pa.nulls(0, pa.int64())})
        return pa.table(dict(zip(("value", "count"), map(to_arrow, self._united), strict=True)))

    def conclude(self) -> float | None:
        """The median, the mean of two where the number of values is even; None where there is none."""
        import numpy as np

        self._count()
        if self._united is None:
            return None
        values, number = self._united
        ends = np.cumsum(number)
        places = np.searchsorted(ends, [(ends[-1] - 1) // 2, ends[-1] // 2], side="right")
        middle = _middles(values[places]) if self.coarse else values[places].astype(np.float64)
        return float(middle[0] + (middle[1] - middle[0]) / 2)

    def _count(self) -> None:
        """Counts what was taken. Sorting beats hashing where most values differ, and a place a bin beats sorting."""
        import numpy as np

        if not self._waiting:
            return
        values = np.concatenate(self._raw)
        self._raw, self._waiting = [], 0
        if self.coarse:
            self._include(*_counted(values))
            return
        ordered = np.sort(values)
        starts = _starts(ordered)
        self._include(ordered[starts], np.diff(starts, append=len(ordered)).astype(np.int64))

    def _include(self, values: np.ndarray, number: np.ndarray) -> None:
        import numpy as np

        if self._united is not None:
            both = np.concatenate((self._united[0], values)), np.concatenate((self._united[1], number))
            values, number = _united(*both)
        self._united = values, number
        if len(values) > self.EXACT_VALUES:
            self._coarsen()

    def _coarsen(self) -> None:
        if self.coarse:
            return
        self._count()
        if not self.coarse:  # counting may have been what made it so
            self.coarse = True
            if self._united is not None:
                self._united = _united(_bins(self._united[0]), self._united[1])


def _united(values: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values ascending, each once, with the sum of its numbers."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    values = values[order]
    starts = _starts(values)
    return values[starts], np.add.reduceat(number[order], starts)


def _counted(bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bins ascending, each once, and how many there are of each. The empty ones on both sides of 0 get no place."""
    import numpy as np

    sign = bins >> 31
    size = bins ^ sign
    gap = size.min(where=size > 0, initial=1 << 22) - 1
    close = np.maximum(size - gap, 0) ^ sign
    first = close.min()
    places = np.bincount(close - first)
    found = np.flatnonzero(places)
    close = (found + first).astype(np.int32)
    sign = close >> 31
    size = close ^ sign
    return (size + np.where(size > 0, gap, 0).astype(np.int32)) ^ sign, places[found]


def _starts(ordered: np.ndarray) -> np.ndarray:
    """Where another value begins, int64."""
    import numpy as np

    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


def _bins(values: np.ndarray) -> np.ndarray:
    """The bin of each number, int32, ascending with the numbers."""
    import numpy as np

    bits = values.astype(np.float64).view(np.int64)
    ascending = bits ^ ((bits >> 63) & _BELOW_SIGN)  # negative floats sort the other way round
    return (ascending >> _DROPPED_BITS).astype(np.int32)


def _middles(bins: np.ndarray) -> np.ndarray:
    """The float64 in the middle of each bin; 0 for those beside it."""
    import numpy as np

    ascending = (bins.astype(np.int64) << _DROPPED_BITS) + (1 << (_DROPPED_BITS - 1))
    bits = ascending ^ ((ascending >> 63) & _BELOW_SIGN)
    return np.where((bins == 0) | (bins == -1), 0.0, bits.view(np.float64))
