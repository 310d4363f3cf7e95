"""Dividing rows among training, validation and test: pure functions of (rows, shares, seed, a column's values).

They return a part of each row: 0 training, 1 validation, 2 test, 3 none of them. All random choice is the order of
``permute`` for an epoch that no run reaches, so that it is independent of every epoch's order, and the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gdist.data.order import permute
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np

TRAIN, VALIDATION, TEST, UNUSED = range(4)
_HOLD_OUT = 2**63  # in the place of an epoch
_AT_ONCE = 1 << 20  # rows


def shares_to_rows(n: int, shares: tuple[float, float], *, what: str = "row") -> tuple[int, int]:
    """How many of n go to (validation, test): the nearest counts, at least one where a share is asked for, one left to train.

    Raises DataError where n cannot give that.
    """
    parts = 1 + sum(share > 0 for share in shares)
    if n < parts:
        sides = " and ".join(["training", *(["validation"] if shares[0] else []), *(["test"] if shares[1] else [])])
        raise DataError(f"cannot split {n} {what}{'' if n == 1 else 's'} into {sides}", help="name separate files")
    first = min(max(round(n * shares[0]), 1), n - parts + 1) if shares[0] else 0
    second = min(max(round(n * shares[1]), 1), n - first - 1) if shares[1] else 0
    return first, second


def by_share(n: int, shares: tuple[float, float], *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of (validation, test) as packed bits, the first row in the lowest bit. Validation has the same rows with a test
    part and without."""
    import numpy as np

    held, tested = shares_to_rows(n, shares)
    bits = np.zeros((2, -(-n // 8)), dtype=np.uint8)
    for out, first, stop in ((bits[0], 0, held), (bits[1], held, held + tested)):
        for rows in _permuted(n, seed=seed, first=first, stop=stop):
            np.add.at(out, rows >> 3, (1 << (rows & 7)).astype(np.uint8))  # each bit once: a sum is as good as |, and faster
    return bits[0], bits[1]


def by_group(counts: np.ndarray, shares: tuple[float, float], *, seed: int) -> np.ndarray:
    """The part of each group, uint8: groups go to validation in a random order until it holds the nearest to its share of the
    rows, then to test. ``counts``: rows of each group. A group is never divided."""
    import numpy as np

    parts = 1 + sum(share > 0 for share in shares)
    if len(counts) < parts:
        raise DataError(f"{len(counts)} group{'' if len(counts) == 1 else 's'} cannot be on {parts} sides")
    order = permute(np.arange(len(counts)), n=len(counts), seed=seed, epoch=_HOLD_OUT)
    reached = np.concatenate([[0], np.cumsum(counts[order])])
    out = np.zeros(len(counts), dtype=np.uint8)
    taken, sides_left = 0, parts - 1
    for part, share in zip((VALIDATION, TEST), shares, strict=True):
        if share:
            wanted = reached[taken] + share * reached[-1]
            nearest = int(np.argmin(np.abs(reached - wanted)))
            stop = min(max(nearest, taken + 1), len(counts) - sides_left)
            out[order[taken:stop]] = part
            taken, sides_left = stop, sides_left - 1
    return out


def by_class(codes: np.ndarray, counts: np.ndarray, shares: tuple[float, float], *, seed: int) -> np.ndarray:
    """The part of each row, uint8, shape (rows,): each class gives its share to every part, to within a row; a class with fewer
    rows than parts stays in training first. ``codes``: each row's class; ``counts``: rows of each class."""
    import numpy as np

    totals = shares_to_rows(len(codes), shares)
    held = _apportioned(counts, totals[0], most=np.maximum(counts - 1, 0))
    tested = _apportioned(counts, totals[1], most=np.maximum(counts - 1 - held, 0))
    out = np.zeros(len(codes), dtype=np.uint8)
    seen = np.zeros(len(counts), dtype=np.int64)
    for rows in _permuted(len(codes), seed=seed, first=0, stop=len(codes)):
        own = codes[rows]
        order = np.argsort(own, kind="stable")
        sorted_ = own[order]
        starts = np.flatnonzero(np.diff(sorted_, prepend=sorted_[:1] + 1))  # of each class's run
        lengths = np.diff(starts, append=len(sorted_))
        number = np.arange(len(sorted_)) - np.repeat(starts, lengths) + seen[sorted_]  # of each row in its class
        out[rows[order]] = np.where(number < held[sorted_], VALIDATION, TEST) * (number < (held + tested)[sorted_])
        seen[sorted_[starts]] += lengths
    return out


def _apportioned(counts: np.ndarray, total: int, *, most: np.ndarray) -> np.ndarray:
    """``total`` in proportion to ``counts``, by largest remainders (Hamilton's method), as far as ``most`` allows: int64."""
    import numpy as np

    exact = counts * (total / max(int(counts.sum()), 1))
    out: np.ndarray = np.minimum(np.floor(exact).astype(np.int64), most)
    room = out < most
    order = np.lexsort((np.arange(len(counts)), -(exact - out), ~room))
    left = min(total - int(out.sum()), int(room.sum()))
    out[order[:left]] += 1
    return out


def _permuted(n: int, *, seed: int, first: int, stop: int) -> Iterator[np.ndarray]:
    import numpy as np

    for start in range(first, stop, _AT_ONCE):
        yield permute(np.arange(start, min(start + _AT_ONCE, stop)), n=n, seed=seed, epoch=_HOLD_OUT)
