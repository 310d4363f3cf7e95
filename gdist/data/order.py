"""The order of samples: a shuffle that can be asked for any position, without its history.

``permute`` is a bijection of range(n) for each (seed, epoch). It is a Feistel network over the bits of the position
(Luby and Rackoff, 1988) with cycle walking for an n that is no power of two (Black and Rogaway, 2002). Only 64-bit
integer arithmetic: the same numbers on every machine and in every version; tests keep golden values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from gdist.data.index import Index

ROUNDS = 6
BLOCK = 16_384  # positions at a time: a round's temporaries stay in the second-level cache
_MASK = 2**64 - 1
_MULTIPLY = 0xD6E8FEB86659FD93  # odd; the constants of Rieger's 64-bit mixer, which is two multiply-xorshift rounds


class Order(ABC):
    """Which raw row stands at which position of an epoch: a pure function, whoever asks and in whichever order."""

    @abstractmethod
    def __len__(self) -> int:
        """Positions in an epoch."""

    @abstractmethod
    def rows(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """The raw rows at positions ``start`` to ``stop``: int64, shape (stop - start,)."""

    def groups(self, epoch: int, start: int, stop: int) -> list[int] | None:
        """The row groups that these positions' rows lie in, where the order knows of row groups."""
        return None


class UniformOrder(Order):
    """A uniform permutation of the rows of ``index`` in each epoch, or, without ``shuffle``, the rows as they lie."""

    def __init__(self, index: Index, *, seed: int = 0, shuffle: bool = True) -> None:
        self._index = index
        self._length = len(index)
        self._rows = index.rows() if shuffle and len(index) < index.raw_rows else None  # any of them in no time
        self._seed, self._shuffle = seed, shuffle
        self._block: tuple[int, int, np.ndarray] | None = None  # epoch, first position, raw rows; replaced, never changed

    def __len__(self) -> int:
        return self._length

    def rows(self, epoch: int, start: int, stop: int) -> np.ndarray:
        block = self._block
        if block is None or block[0] != epoch or start < block[1] or stop > block[1] + len(block[2]):
            block = self._block = self._make_block(epoch, start, stop)
        return block[2][start - block[1] : stop - block[1]]

    def _make_block(self, epoch: int, start: int, stop: int) -> tuple[int, int, np.ndarray]:
        import numpy as np

        if not 0 <= start <= stop <= self._length:
            raise ValueError(f"positions {start} to {stop} do not lie in range({self._length})")
        first = start - start % BLOCK
        last = min(max(-(-stop // BLOCK) * BLOCK, first + BLOCK), self._length)
        rows = np.arange(first, last, dtype=np.int64)
        if not self._shuffle:
            return epoch, first, self._index.at(rows)
        rows = permute(rows, n=self._length, seed=self._seed, epoch=epoch)
        return epoch, first, rows if self._rows is None else self._rows[rows]


def permute(positions: np.ndarray, *, n: int, seed: int, epoch: int) -> np.ndarray:
    """Where each position's sample stands in the data: int64 in range(n), the same shape as ``positions``.

    ``positions``: one-dimensional integers in range(n). Cost: O(1) a position, about 30 ns. Example:
    ``permute(np.arange(5), n=5, seed=0, epoch=0)`` is the first epoch's order of five samples.
    """
    import numpy as np

    positions = np.asarray(positions)
    if len(positions) and not 0 <= int(positions.min()) <= int(positions.max()) < n:
        raise ValueError(f"positions must lie in range({n})")
    out = positions.astype(np.uint64)
    keys = round_keys(seed=seed, epoch=epoch)
    bits = max(n - 1, 1).bit_length()
    for first in range(0, len(out), BLOCK):
        block = out[first : first + BLOCK]
        _encrypt(block, bits=bits, keys=keys)
        outside = np.flatnonzero(block >= n)
        while len(outside):  # less than half of them: the domain is smaller than 2 n
            walked = block[outside]
            _encrypt(walked, bits=bits, keys=keys)
            block[outside] = walked
            outside = outside[walked >= n]
    return out.view(np.int64)


def round_keys(*, seed: int, epoch: int) -> list[int]:
    """One 64-bit key for each round: splitmix64 (Steele, Lea and Flood, 2014) over the seed, then the epoch."""
    state = _mix(_mix(seed & _MASK) ^ (epoch & _MASK))
    return [_mix((state + (i + 1) * 0x9E3779B97F4A7C15) & _MASK) for i in range(ROUNDS)]


def _mix(word: int) -> int:
    word = (word + 0x9E3779B97F4A7C15) & _MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)


def _encrypt(words: np.ndarray, *, bits: int, keys: list[int]) -> None:
    """Permutes range(2**bits) in place. The halves take turns, and may differ by one bit: each round is its own inverse."""
    import numpy as np

    low_bits = (bits + 1) // 2
    high_bits = bits - low_bits
    low = words & np.uint64((1 << low_bits) - 1)
    high = words >> np.uint64(low_bits)
    for i, key in enumerate(keys):
        half, other, other_bits = (low, high, high_bits) if i % 2 else (high, low, low_bits)
        if other_bits == 0:
            continue
        mixed = half + np.uint64(key)
        mixed *= np.uint64(_MULTIPLY)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(_MULTIPLY)
        mixed >>= np.uint64(64 - other_bits)
        other ^= mixed
    high <<= np.uint64(low_bits)
    np.bitwise_or(high, low, out=words)
