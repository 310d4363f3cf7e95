"""Which of the data's rows are in use: one bit a row, so that 100 million rows take 12.5 MB.

The bits stand as Arrow has them (the first row in the lowest bit). A directory of counts, 8 bytes for 512 rows, answers how
many rows are kept before any row, and which row is the k-th kept, without reading the rest.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_BLOCK_BYTES = 64  # bits are counted once for as many bytes: 512 rows
_BLOCK_ROWS = 8 * _BLOCK_BYTES
_AT_ONCE = 1 << 20  # rows whose bits are unpacked, or blocks counted, at a time


class Index:
    """Immutable. ``raw_rows``: of the data; ``len(index)``: of those in use."""

    __slots__ = ("_before", "_bits", "_length", "raw_rows")

    def __init__(self, raw_rows: int, bits: np.ndarray | None) -> None:
        """``bits``: uint8, whole blocks, no bit set from row ``raw_rows`` on; None: all rows."""
        self.raw_rows = raw_rows
        self._bits = bits
        self._before: np.ndarray | None = None  # kept rows before each block, and all of them at the end
        self._length = raw_rows
        if bits is not None:
            self._before = _directory(bits)
            self._length = int(self._before[-1])

    @classmethod
    def all(cls, n: int) -> Index:
        """All rows of range(n), in no memory."""
        return cls(n, None)

    @classmethod
    def of_mask(cls, bits: np.ndarray, n: int) -> Index:
        """The rows of range(n) whose bit is set: uint8 of at least ceil(n / 8) bytes, the first row in the lowest bit."""
        used = -(-n // 8)
        kept = _blocks_for(n)
        kept[:used] = bits[:used]
        if n % 8:
            kept[used - 1] &= (1 << n % 8) - 1
        return cls(n, kept)

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.raw_rows == other.raw_rows and bool((self.bits() == other.bits()).all())

    __hash__ = None  # type: ignore[assignment]

    def bits(self) -> np.ndarray:
        """One bit a row: uint8, shape (ceil(raw_rows / 8),); not to be changed."""
        import numpy as np

        if self._bits is not None:
            return self._bits[: -(-self.raw_rows // 8)]
        whole = np.full(-(-self.raw_rows // 8), 255, dtype=np.uint8)
        if self.raw_rows % 8:
            whole[-1] = (1 << self.raw_rows % 8) - 1
        return whole

    def rows(self) -> np.ndarray:
        """The rows in use, ascending: int64, shape (len(index),); 8 bytes each."""
        import numpy as np

        out = np.empty(self._length, dtype=np.int64)
        filled = 0
        for first in range(0, self.raw_rows, _AT_ONCE):
            local = self.local(first, min(first + _AT_ONCE, self.raw_rows))
            np.add(local, first, out=out[filled : filled + len(local)])
            filled += len(local)
        return out

    def local(self, first: int, stop: int) -> np.ndarray:
        """The rows in use among ``first`` to ``stop``, numbered from ``first``, ascending: int64."""
        import numpy as np

        if self._bits is None:
            return np.arange(stop - first, dtype=np.int64)
        some = np.unpackbits(self._bits[first // 8 : -(-stop // 8)], bitorder="little")
        skipped = first % 8
        return np.flatnonzero(some[skipped : skipped + stop - first]).astype(np.int64, copy=False)

    def counts(self, bounds: np.ndarray) -> np.ndarray:
        """How many rows are in use from each bound to the next: int64, shape (len(bounds) - 1,).

        ``bounds``: ascending in 0 to ``raw_rows``, such as the first rows of all row groups and the end of the last."""
        import numpy as np

        return np.diff(self.before(bounds))

    def before(self, rows: np.ndarray) -> np.ndarray:
        """How many rows are in use before each of ``rows`` (0 to ``raw_rows``, any order): int64, the same shape."""
        import numpy as np

        rows = np.asarray(rows, dtype=np.int64)
        if self._bits is None:
            return rows.copy()
        assert self._before is not None
        out: np.ndarray = self._before[rows // _BLOCK_ROWS]
        for first in range(0, len(rows), _AT_ONCE // _BLOCK_BYTES):
            some = rows[first : first + _AT_ONCE // _BLOCK_BYTES]
            at = some // _BLOCK_ROWS
            bits = np.unpackbits(self._grid[np.minimum(at, len(self._grid) - 1)], axis=1, bitorder="little")
            wanted = np.arange(_BLOCK_ROWS) < (some - at * _BLOCK_ROWS)[:, None]
            out[first : first + len(some)] += np.count_nonzero(bits & wanted, axis=1)
        return out

    def at(self, numbers: np.ndarray) -> np.ndarray:
        """The raw row that is the k-th in use, for each k of ``numbers`` (0 to ``len(index) - 1``, any order): int64."""
        import numpy as np

        numbers = np.asarray(numbers, dtype=np.int64)
        if self._bits is None:
            return numbers.copy()
        assert self._before is not None
        if len(numbers) > _BLOCK_ROWS and (np.diff(numbers) == 1).all():
            begin, end = (int(row) for row in self.at(numbers[[0, -1]]))
            if end - begin < _BLOCK_BYTES * len(numbers):  # not much to look through
                return self.local(begin, end + 1) + begin
        out = np.empty(len(numbers), dtype=np.int64)
        for first in range(0, len(numbers), _AT_ONCE // _BLOCK_BYTES):
            some = numbers[first : first + _AT_ONCE // _BLOCK_BYTES]
            block = np.searchsorted(self._before, some, side="right") - 1
            left = (some - self._before[block])[:, None]  # to be passed over inside of the block
            ones = np.cumsum(_ones()[self._grid[block]], axis=1, dtype=np.int16)
            byte = np.count_nonzero(ones <= left, axis=1)
            place = np.arange(len(some))
            passed = np.where(byte > 0, ones[place, byte - 1], 0)
            bit = _places()[self._grid[block, byte], left[:, 0] - passed]
            out[first : first + len(some)] = block * _BLOCK_ROWS + byte * 8 + bit
        return out

    def slice(self, first: int, stop: int) -> Index:
        """The rows ``first`` to ``stop`` as data of their own, numbered from ``first``."""
        import numpy as np

        if self._bits is None:
            return Index(stop - first, None)
        out = _blocks_for(stop - first)
        for begin in range(first, stop, _AT_ONCE):
            end = min(begin + _AT_ONCE, stop)
            some = np.unpackbits(self._bits[begin // 8 : -(-end // 8)], bitorder="little")
            packed = np.packbits(some[begin % 8 : begin % 8 + end - begin], bitorder="little")
            out[(begin - first) // 8 : (begin - first) // 8 + len(packed)] = packed
        return Index(stop - first, out)

    @property
    def _grid(self) -> np.ndarray:
        """The bytes by block: uint8, shape (blocks, 64)."""
        assert self._bits is not None
        return self._bits.reshape(-1, _BLOCK_BYTES)


def _blocks_for(rows: int) -> np.ndarray:
    """Zeros for the bits of so many rows, in whole blocks, one at least."""
    import numpy as np

    return np.zeros(max(-(-rows // _BLOCK_ROWS), 1) * _BLOCK_BYTES, dtype=np.uint8)


def _directory(bits: np.ndarray) -> np.ndarray:
    """How many bits are set before each block of bytes, and in all: int64, shape (blocks + 1,)."""
    import numpy as np

    blocks = len(bits) // _BLOCK_BYTES
    sums = np.zeros(blocks + 1, dtype=np.int64)
    for first in range(0, blocks, _AT_ONCE // _BLOCK_BYTES):
        some = _ones()[bits[first * _BLOCK_BYTES : first * _BLOCK_BYTES + _AT_ONCE]]
        starts = np.arange(0, len(some), _BLOCK_BYTES)
        sums[1 + first : 1 + first + len(starts)] = np.add.reduceat(some, starts, dtype=np.int64)
    return np.cumsum(sums)


@cache
def _ones() -> np.ndarray:
    """How many bits of each byte are set: uint8, shape (256,)."""
    import numpy as np

    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    ones: np.ndarray = np.asarray(np.count_nonzero(bits, axis=1), dtype=np.uint8)
    return ones


@cache
def _places() -> np.ndarray:
    """Where each byte's k-th set bit stands: uint8, shape (256, 8), 0 where there are fewer."""
    import numpy as np

    set_ = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    places: np.ndarray = np.argsort(1 - set_, axis=1, kind="stable").astype(np.uint8)
    return places
