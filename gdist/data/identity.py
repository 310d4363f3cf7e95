"""The identity of a row: a 64-bit stamp of (file, row), which a reader puts on each row as it reads it.

A sum of stamps says which rows it is a sum over, but for a chance of 2**-64: what ``gdist audit`` compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def stamps(file: int, rows: np.ndarray) -> np.ndarray:
    """Of rows ``rows`` (int64, numbered within their file) of file number ``file``: int64, the same shape.

    The finalizer of splitmix64 (Steele, Lea and Flood, 2014) over a counter that no two rows of 2**40 a file share.
    Sums of stamps wrap modulo 2**64.
    """
    import numpy as np

    words = rows.astype(np.uint64)
    words += np.uint64((file << 40) + 1 & _MASK)  # 1: the finalizer leaves 0 as it is, which no sum would miss
    words *= np.uint64(_GOLDEN)
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words.view(np.int64)


def total(stamps: np.ndarray) -> int:
    """Their sum modulo 2**64: what a batch of these rows carries."""
    import numpy as np

    return int(np.add.reduce(stamps)) & _MASK
