"""The rows of a mix, opened. Their raw numbers are those of the sources' rows, one source after the other."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gdist.data.batch import Batch
from gdist.data.mixing import MixOrder, epoch_length, period
from gdist.data.order import Order, UniformOrder
from gdist.data.source import Column, Rows
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from gdist.data.index import Index
    from gdist.data.mix import Mix

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15  # odd: its powers tell the sources' stamps and permutations apart


class MixRows(Rows):
    """``parts``: the sources' rows by name. ``floats``: as what floating columns are given, those of rows that do not cast
    themselves batch by batch."""

    def __init__(self, source: Mix, parts: dict[str, Rows], *, floats: torch.dtype | None = None) -> None:
        import numpy as np

        self._source, self._parts, self._floats = source, parts, floats
        self._all = list(parts.values())
        self._bounds = np.cumsum([0, *map(len, self._all)], dtype=np.int64)
        self._factors = [pow(_GOLDEN, i, 1 << 64) for i in range(len(self._all))]
        self.slow = any(rows.slow for rows in self._all)
        self.follows = any(rows.follows for rows in self._all)
        self.deadline_s = max(rows.deadline_s for rows in self._all)
        self._group_bounds = [0, *itertools.accumulate(_group_count(rows) for rows in self._all)]
        _check(parts, floats)

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def take(self, rows: np.ndarray) -> Batch:
        return self.draw(rows, seed=0, epoch=0)

    def draw(self, rows: np.ndarray, *, seed: int, epoch: int) -> Batch:
        import numpy as np
        import torch

        sources = self._sources_of(rows)
        batches, places = [], []
        for i, part in enumerate(self._all):
            here = np.flatnonzero(sources == i)
            if len(here) or part.follows or not len(rows):  # who reads ahead counts the batches
                drawn = part.draw(rows[here] - self._bounds[i], seed=seed ^ self._factors[i], epoch=epoch)
                batches.append(drawn.to(dtype=self._floats))
                batches[-1].stamp *= self._factors[i]
                places.append(here)
        joined = Batch.joined(batches)
        joined.stamp &= _MASK
        if joined.bad:  # which rows are missing is not known: those of each source follow each other
            return joined
        order = torch.from_numpy(np.argsort(np.concatenate(places)))
        columns = {name: column.index_select(0, order) for name, column in joined.columns.items()}
        return Batch(columns, stamp=joined.stamp)

    def fingerprint(self) -> str:
        of_parts = {name: rows.fingerprint() for name, rows in self._parts.items()}
        known = [of_parts, self._source.proportions, self._source.epoch]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]

    def content_key(self) -> str | None:
        keys = [rows.content_key() for rows in self._all]
        return None if None in keys else hashlib.sha256(json.dumps([self.fingerprint(), keys]).encode()).hexdigest()[:32]

    @property
    def bad_rows(self) -> Sequence[str]:  # type: ignore[override]
        return [f"{name}: {bad}" for name, rows in self._parts.items() for bad in rows.bad_rows]

    def columns(self) -> dict[str, Column]:
        return _columns(self._all[0], self._floats)

    def read_column(self, name: str) -> Iterator[pa.Array]:
        kind = None
        for source, rows in self._parts.items():
            for array in rows.read_column(name):
                kind = kind or array.type
                if array.type != kind:
                    raise DataError(
                        f"column `{name}`, which splits the data, holds {array.type} in {source!r}, but {kind} before",
                        help="write both with one type",
                    )
                yield array

    def identities(self, rows: np.ndarray) -> np.ndarray:
        import numpy as np

        sources = self._sources_of(rows)
        out = np.empty(len(rows), dtype=np.int64)
        for i, part in enumerate(self._all):
            here = sources == i
            own = part.identities(rows[here] - self._bounds[i]).view(np.uint64)
            out[here] = (own * np.uint64(self._factors[i])).view(np.int64)
        return out

    def place(self, row: int) -> str:
        i = int(self._bounds.searchsorted(row, side="right")) - 1
        return f"{list(self._parts)[i]}: {self._all[i].place(row - int(self._bounds[i]))}"

    def order(self, index: Index, *, seed: int, shuffle: bool, batch_size: int) -> Order:
        if not shuffle:
            return UniformOrder(index, shuffle=False)
        indices = [index.slice(int(a), int(b)) for a, b in itertools.pairwise(self._bounds)]
        for name, own in zip(self._parts, indices, strict=True):
            if not len(own):
                raise DataError(f"no row of source {name!r} is left to train on", help="hold less out")
        counts = period([self._source.proportions[name] for name in self._parts])
        orders = [
            rows.order(
                own, seed=seed ^ factor, shuffle=True, batch_size=max(1, min(len(own), batch_size * count // sum(counts)))
            )
            for rows, own, factor, count in zip(self._all, indices, self._factors, counts, strict=True)
        ]
        named = None if self._source.epoch is None else list(self._parts).index(self._source.epoch)
        return MixOrder(
            orders,
            offsets=self._bounds[:-1].tolist(),
            groups=self._group_bounds[:-1],
            counts=counts,
            length=epoch_length([len(own) for own in indices], counts, source=named),
            seed=seed,
        )

    def follow(self, coming: Iterator[Sequence[int]]) -> None:
        shared = _Shared(coming, self._group_bounds)
        for i, rows in enumerate(self._all):
            if rows.follows:
                rows.follow(shared.of(i))

    def groups_of(self, rows: np.ndarray) -> Sequence[int]:
        sources = self._sources_of(rows)
        found: list[int] = []
        for i, part in enumerate(self._all):
            own = part.groups_of(rows[sources == i] - self._bounds[i])
            found += [self._group_bounds[i] + group for group in own]
        return found

    def files(self) -> list[dict[str, Any]]:
        return [{**file, "path": f"{name}: {file['path']}"} for name, rows in self._parts.items() for file in rows.files()]

    def divided(self) -> tuple[MixRows, MixRows]:
        halves = {name: rows.divided() for name, rows in self._parts.items()}
        first, second = ({name: half[side] for name, half in halves.items()} for side in (0, 1))
        return MixRows(self._source, first, floats=self._floats), MixRows(self._source, second, floats=self._floats)

    def cast(self, floats: torch.dtype) -> MixRows:
        return MixRows(self._source, {name: rows.cast(floats) for name, rows in self._parts.items()}, floats=floats)

    def close(self) -> None:
        for rows in self._all:
            rows.close()

    def _sources_of(self, rows: np.ndarray) -> np.ndarray:
        sources: np.ndarray = self._bounds.searchsorted(rows, side="right") - 1
        return sources


class _Shared:
    """One iterator of row groups for several readers, each in threads of its own: every one gets those that are its."""

    def __init__(self, coming: Iterator[Sequence[int]], bounds: Sequence[int]) -> None:
        self._coming, self._bounds = coming, bounds
        self._lock = threading.Lock()
        self._waiting: dict[int, deque[list[int]]] = {}
        self._last: tuple[Sequence[int] | None, dict[int, list[int]]] = (None, {})

    def of(self, reader: int) -> Iterator[list[int]]:
        self._waiting[reader] = deque()
        return self._read(reader)

    def _read(self, reader: int) -> Iterator[list[int]]:
        while True:
            with self._lock:
                if not self._waiting[reader]:
                    groups = next(self._coming, None)
                    if groups is None:
                        return
                    self._share(groups)
                own = self._waiting[reader].popleft()
            yield own

    def _share(self, groups: Sequence[int]) -> None:
        if groups is not self._last[0]:  # who needs no others is given the same object again
            cut = {i: (self._bounds[i], self._bounds[i + 1]) for i in self._waiting}
            self._last = groups, {i: [g - first for g in groups if first <= g < last] for i, (first, last) in cut.items()}
        for i, own in self._last[1].items():
            self._waiting[i].append(own)


def _group_count(rows: Rows) -> int:
    """Row groups of a source: none where it is in memory."""
    return len(getattr(rows, "groups", ())) if rows.follows else 0


def _check(parts: dict[str, Rows], floats: torch.dtype | None) -> None:
    for name, rows in parts.items():
        if not rows.ready:
            raise DataError(
                f"source {name!r} of a mix must learn from its rows (scale, fill, categories), each source something else",
                help="prepare these columns before, or read all files as one source: path=[...]",
            )
    (first, rows), *others = parts.items()
    wanted = _columns(rows, floats)
    for name, other in others:
        there = _columns(other, floats)
        for tensor in [*wanted, *(each for each in there if each not in wanted)]:
            if wanted.get(tensor) != there.get(tensor):
                raise DataError(
                    f"the sources of a mix differ: `{tensor}` is {_kind(there.get(tensor))} in {name!r}, "
                    f"but {_kind(wanted.get(tensor))} in {first!r}",
                    help="give both the same features, target, shape and dtypes",
                )


def _columns(rows: Rows, floats: torch.dtype | None) -> dict[str, Column]:
    """What the rows give, with floating columns as ``floats``."""
    return {
        name: column if floats is None or not column.dtype.is_floating_point else column._replace(dtype=floats)
        for name, column in rows.columns().items()
    }


def _kind(column: Column | None) -> str:
    return "not there" if column is None else f"{str(column.dtype).removeprefix('torch.')}{list(column.shape)}"
