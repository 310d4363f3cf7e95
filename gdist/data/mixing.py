"""The order of samples from several sources in fixed proportions: which source, and which row of it, stands at a position.

A period of positions holds a whole number of rows of each source, so arranged that any stretch of it has each source's share to
within a row or two (Tijdeman's chairman assignment, 1980: the first p positions have p times the proportion, to less than one
row). How many rows of a source come before any position then takes one division; each source is gone through in its own order,
in epochs of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from gdist.data.order import Order, permute

if TYPE_CHECKING:
    import numpy as np

_LONGEST = 1 << 16  # positions of a period
_LARGEST = 10_000  # denominator that a proportion is taken for a fraction of
_BEGIN = 2**63 + 1  # takes the place of an epoch: which part of the period a run begins with


def period(proportions: Sequence[float]) -> list[int]:
    """Rows of each source in a period: exactly in proportion where these are simple fractions (0.7 and 0.3: 7 and 3), else to
    within one in 65,536, at least one."""
    parts = [Fraction(share).limit_denominator(_LARGEST) for share in proportions]
    scale = math.lcm(*(part.denominator for part in parts))
    whole = [int(part * scale) for part in parts]
    divisor = math.gcd(*whole)
    if all(whole) and sum(whole) <= _LONGEST * divisor:
        return [each // divisor for each in whole]
    return [max(1, round(share * _LONGEST / sum(proportions))) for share in proportions]


def arrange(counts: Sequence[int]) -> np.ndarray:
    """The source at each position of a period that has ``counts`` rows of each: int64, shape (sum(counts),).

    Of the sources that have fallen behind by enough, the one whose next row is due first.
    """
    import numpy as np

    length, several = sum(counts), max(2 * len(counts) - 2, 1)
    taken = [0] * len(counts)
    out = np.empty(length, dtype=np.int64)
    for position in range(length):
        behind = [several * ((position + 1) * count - length * done) for count, done in zip(counts, taken, strict=True)]
        due = [i for i, lag in enumerate(behind) if lag >= length and taken[i] < counts[i]]
        chosen = min(due, key=lambda i: ((several - 1) * length - behind[i]) / counts[i])
        out[position] = chosen
        taken[chosen] += 1
    return out


class MixOrder(Order):
    """``orders``: of each source; ``offsets``: the raw row that each source's first one is; ``counts``: of a period;
    ``groups``: the row group that each source's first one is; ``length``: positions of an epoch."""

    def __init__(
        self,
        orders: Sequence[Order],
        *,
        offsets: Sequence[int],
        groups: Sequence[int],
        counts: Sequence[int],
        length: int,
        seed: int,
    ) -> None:
        import numpy as np

        self._orders, self._offsets, self._groups = list(orders), offsets, groups
        self._counts, self._length = counts, length
        self._pattern = arrange(counts)
        self._period = len(self._pattern)
        self._begin = int(permute(np.zeros(1, dtype=np.int64), n=self._period, seed=seed, epoch=_BEGIN)[0])
        self._before = [np.concatenate([[0], np.cumsum(self._pattern == i)]) for i in range(len(counts))]

    def __len__(self) -> int:
        return self._length

    def rows(self, epoch: int, start: int, stop: int) -> np.ndarray:
        import numpy as np

        first = self._first(epoch, start, stop)
        sources = self._pattern[(first + np.arange(stop - start)) % self._period]
        out = np.empty(stop - start, dtype=np.int64)
        for source, order in enumerate(self._orders):
            spans = self._spans(source, first, first + stop - start)
            parts = [order.rows(*span) for span in spans]
            if parts:
                out[sources == source] = np.concatenate(parts) + self._offsets[source]
        return out

    def groups(self, epoch: int, start: int, stop: int) -> list[int]:
        first = self._first(epoch, start, stop)
        found: list[int] = []
        for source, order in enumerate(self._orders):
            for span in self._spans(source, first, first + stop - start):
                found += [self._groups[source] + group for group in order.groups(*span) or ()]
        return list(dict.fromkeys(found))

    def _first(self, epoch: int, start: int, stop: int) -> int:
        """The position ``start`` counted from the run's beginning, in a sequence that begins with a period."""
        if not 0 <= start <= stop <= self._length:
            raise ValueError(f"positions {start} to {stop} do not lie in range({self._length})")
        return self._begin + epoch * self._length + start

    def _spans(self, source: int, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """What positions ``first`` to ``last`` take of a source: (its own epoch, from, to)."""
        size, begin = len(self._orders[source]), self._taken(source, self._begin)
        start, stop = (self._taken(source, position) - begin for position in (first, last))
        while start < stop:
            epoch, low = divmod(start, size)
            high = min(size, low + stop - start)
            yield epoch, low, high
            start += high - low

    def _taken(self, source: int, position: int) -> int:
        """Rows of a source before a position."""
        periods, inside = divmod(position, self._period)
        return periods * self._counts[source] + int(self._before[source][inside])


def epoch_length(sizes: Sequence[int], counts: Sequence[int], *, source: int | None) -> int:
    """Positions until ``source``, or the first of all that comes to its end, is through once."""
    length = sum(counts)
    ends = [size * length // count for size, count in zip(sizes, counts, strict=True)]
    return max(1, min(ends) if source is None else ends[source])
