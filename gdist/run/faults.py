"""Which sample was lost or doubled, where the stamps of what was read do not add up (pure).

The difference between the sum that should be there and the one that is tells it: one stamp of the span (that sample is
missing), minus one (it is there once too often), or one less another (the one was read in the other's place).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["lost", "doubled"]

_SEARCHED = 50_000_000  # rows, more of which are not searched for one that was read in another's place


class Expected(Protocol):
    """What should have been read: the order and the index of the run's data. Epochs and positions from 0."""

    @property
    def raw_rows(self) -> int: ...
    def rows_at(self, epoch: int, start: int, stop: int) -> np.ndarray: ...
    def identities(self, rows: np.ndarray) -> np.ndarray: ...
    def place(self, row: int) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Samples of positions [start, stop) that were lost or doubled. ``row``: the raw number of the one that it was, if one."""

    kind: Kind
    count: int
    step: int
    start: int
    stop: int
    why: str
    row: int | None = None
    place: str | None = None


class Search:
    """Finds the samples behind a sum that differs."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._all: tuple[np.ndarray, np.ndarray] | None = None  # all rows' stamps in ascending order, and whose they are

    def faults(self, step: int, start: int, rows: np.ndarray, stamps: np.ndarray, *, off: int, short: int) -> Iterator[Fault]:
        """``rows``, ``stamps``: what should have been read from position ``start`` on; ``off``: the sum of these stamps less
        the one that was read; ``short``: how many rows fewer than these were used or left out."""
        import numpy as np

        def one(kind: Kind, at: int, why: str) -> Fault:
            row = int(rows[at])
            place = self._expected.place(row)
            return Fault(kind=kind, count=1, step=step, start=start + at, stop=start + at + 1, why=why, row=row, place=place)

        def some(kind: Kind, count: int, why: str, row: int | None = None) -> Fault:
            place = None if row is None else self._expected.place(row)
            return Fault(kind=kind, count=count, step=step, start=start, stop=start + len(rows), why=why, row=row, place=place)

        if not off:
            if short > 0:
                yield some("lost", short, "they were read, but not used" if short > 1 else "it was read, but not used")
            else:
                yield some("doubled", -short, "more rows were used than were read")
        elif len(lost := np.flatnonzero(stamps == np.int64(off))):
            yield one("lost", int(lost[0]), "it is not among the rows that were read")
        elif len(doubled := np.flatnonzero(-stamps == np.int64(off))):
            yield one("doubled", int(doubled[0]), "it was read twice")
        elif (pair := _pair(stamps, *_sorted(stamps), off)) is not None:
            yield one("lost", pair[0], f"position {start + pair[1]} was read in its place")
            yield one("doubled", pair[1], f"it was read in the place of position {start + pair[0]} too")
        elif (found := self._stranger(stamps, off)) is not None:
            at, row = found
            if at is not None:
                yield one("lost", at, f"{self._expected.place(row)} was read in its place")
            yield some("doubled", 1, "it was read here, where it does not belong", row)
        else:
            why = "the rows that were read are not those of these positions"
            if short >= 0:
                yield some("lost", max(short, 1), why)
            if short <= 0:
                yield some("doubled", max(-short, 1), why)

    def _stranger(self, stamps: np.ndarray, off: int) -> tuple[int | None, int] | None:
        """(the place in the span for which a row of the whole data was read, or None: it came on top; that row's number)."""
        import numpy as np

        if self._expected.raw_rows > _SEARCHED:
            return None
        if self._all is None:
            self._all = _sorted(self._expected.identities(np.arange(self._expected.raw_rows, dtype=np.int64)))
        on_top = _pair(np.zeros(1, dtype=np.int64), *self._all, off)
        return (None, on_top[1]) if on_top is not None else _pair(stamps, *self._all, off)


def _sorted(stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = stamps.argsort()
    return stamps[order], order


def _pair(of: np.ndarray, in_order: np.ndarray, order: np.ndarray, off: int) -> tuple[int, int] | None:
    """(i, j) where ``of[i]`` less stamp number j is ``off``; ``in_order``: the stamps sorted by ``order``."""
    import numpy as np

    wanted = of - np.int64(off)
    at = np.searchsorted(in_order, wanted).clip(max=len(in_order) - 1)
    found = np.flatnonzero(in_order[at] == wanted)
    return (int(found[0]), int(order[at[found[0]]])) if len(found) else None
