"""The rows of a table, opened: all of them in memory where they fit into the job's bound, else row groups as they are needed.

Both ways fill the same kind of memory (``arena.py``) by the same decoder and give the same batches; only the order of the
samples differs (``order.py``, ``streams.py``), and which one it is follows from the data and the job, never from the worker.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from gdist.data.arena import Arena, Slot
from gdist.data.batch import Batch
from gdist.data.columns import TensorPlan, choose_all, plan_tensors
from gdist.data.decode import Decoder
from gdist.data.facts import DataFacts, facts_of
from gdist.data.formats.file_set import common_schema
from gdist.data.identity import stamps
from gdist.data.learned.learned import Learned
from gdist.data.learned.recipe import Recipe
from gdist.data.learned.values import to_arrow
from gdist.data.loader import Loader
from gdist.data.order import Order, UniformOrder
from gdist.data.source import Column, Rows
from gdist.data.streams import StreamOrder
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from gdist.data.formats.format import Reader
    from gdist.data.index import Index
    from gdist.data.table import Columns

_THREADS = 2  # that read row groups, where there is room: one decodes while another one writes rows
_ROOMY = 6  # row groups
_MOST_WINDOW = 4
_TOLD_BAD = 8  # bad rows that are named
_BOOKKEEPING = 17  # bytes a row: its stamp, its place in the window's order, its mark


class TableRows(Rows):
    """``readers``: one a file. ``learned``: None where it must yet be learned, if the recipe is not empty. ``budget``: bytes
    of memory for rows."""

    def __init__(
        self,
        source: Columns,
        readers: Sequence[Reader],
        *,
        learned: Learned | None = None,
        floats: torch.dtype | None = None,
        budget: int | None = None,
    ) -> None:
        import numpy as np

        self.source = source
        self.readers = list(readers)
        self.groups = [(file, group) for file, reader in enumerate(self.readers) for group in range(len(reader.groups))]
        sizes = [self.readers[file].groups[group].rows for file, group in self.groups]
        self.bounds = np.cumsum([0, *sizes], dtype=np.int64)
        self.deadline_s = source.deadline_s
        where = self.readers[0].file.shown
        chosen: dict[str, Any] = {"features": source.features, "target": source.target, "extra": source.extra, "where": where}
        used = choose_all(self.readers[0].schema.names, **chosen)
        self.schema = common_schema(self.readers, list(dict.fromkeys(column for of in used.values() for column in of)))
        self.recipe = Recipe.of(
            self.schema, **chosen, scale=source.scale, fill=source.fill, indicators=source.indicators,
            categories=source.categories,
        )  # fmt: skip
        plans = plan_tensors(self.schema, **chosen, shape=source.shape, dtypes=source.dtypes, recipe=self.recipe)
        self.plans = [_as_floats(plan, floats) for plan in plans]
        self.learned = learned if learned is not None or not self.recipe.empty else Learned.nothing(self.recipe)
        if not len(self):
            raise DataError("the data is empty: no file has a row", where=", ".join(r.file.shown for r in self.readers[:3]))
        self._floats = floats
        self._budget = budget or int(source.memory)
        row_bytes = sum(plan.row_bytes for plan in self.plans) + _BOOKKEEPING
        self.follows = len(self) * row_bytes > int(source.memory)
        self._group_bytes = int(max(sizes)) * row_bytes
        self.bad_rows: list[str] = []
        self._arena: Arena | None = None
        self._loader: Loader | None = None

    def __len__(self) -> int:
        return int(self.bounds[-1])

    @property
    def bytes_read(self) -> int:
        """Bytes of rows read from storage so far, as stored."""
        return sum(reader.bytes_read for reader in self.readers)

    @property
    def _threads(self) -> int:
        return _THREADS if self._budget // self._group_bytes >= _ROOMY else 1

    @property
    def slots(self) -> int:
        """Row groups that memory is for, beside those being decoded."""
        slots = self._budget // self._group_bytes - self._threads
        if slots < 1:
            raise self._too_large(needed=2)
        return int(min(slots, len(self.groups)))

    def order(self, index: Index, *, seed: int, shuffle: bool, batch_size: int) -> Order:
        if not self.follows or not shuffle:
            return UniformOrder(index, seed=seed, shuffle=shuffle)
        streams = min(self.source.streams, max(1, self.slots // 2))  # half of the room is for what comes next
        order = StreamOrder(
            self.bounds, index, seed=seed, batch_size=batch_size, streams=streams,
            window=self.source.window or max(1, min(_MOST_WINDOW, self.slots // (2 * streams))),
        )  # fmt: skip
        if order.streams * order.window > self.slots:
            raise DataError(
                f"{order.streams} streams with windows of {order.window} row groups do not fit into the data's memory",
                note=f"there is room for {self.slots} row groups",
                help="lower the data's window or streams, or raise its memory",
            )
        return order

    def take(self, rows: np.ndarray) -> Batch:
        if self.follows:
            return self._stream().take(rows)
        return self._whole().take(rows)

    def follow(self, coming: Iterator[Sequence[int]]) -> None:
        self._stream().follow(coming)

    def groups_of(self, rows: np.ndarray) -> Sequence[int]:
        import numpy as np

        found: list[int] = np.unique(self._group_of(rows)).tolist()
        return found

    def columns(self) -> dict[str, Column]:
        import torch

        return {plan.name: Column(plan.shape, getattr(torch, plan.dtype)) for plan in self.plans}

    def facts(self) -> DataFacts:
        return facts_of(self.columns(), self.plans, self.learned)

    def cast(self, floats: torch.dtype) -> TableRows:
        if all(_as_floats(plan, floats) == plan for plan in self.plans):
            return self
        return TableRows(self.source, self.readers, learned=self.learned, floats=floats, budget=self._budget)

    @property
    def ready(self) -> bool:  # type: ignore[override]
        return self.learned is not None

    def state(self) -> dict[str, Any]:
        features = next(plan.columns for plan in self.plans if plan.name == "features")
        learned = {"learned": self.learned.to_json()} if self.learned is not None and self.learned.columns else {}
        return {"features": list(features), **learned}

    def with_state(self, state: Mapping[str, Any]) -> TableRows:
        if "learned" not in state:
            return self
        learned = Learned.from_json(state["learned"])
        return TableRows(self.source, self.readers, learned=learned, floats=self._floats, budget=self._budget)

    def divided(self) -> tuple[TableRows, TableRows]:
        """The same rows twice, to be read at different places at a time, in the same memory together."""
        if not self.follows:
            return self, self
        kept: dict[str, Any] = {"learned": self.learned, "floats": self._floats}
        second = max(2 * self._group_bytes, self._budget // 4)
        if self._budget - second < 2 * self._group_bytes:
            raise self._too_large(needed=4)
        first = TableRows(self.source, self.readers, **kept, budget=self._budget - second)
        return first, TableRows(self.source, self.readers, **kept, budget=second)

    def fingerprint(self) -> str:
        plans = [{key: value for key, value in asdict(plan).items() if key != "dtype"} for plan in self.plans]
        recipe = self.recipe.fingerprint()
        text = json.dumps([plans, recipe, [reader.fingerprint() for reader in self.readers]])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def files(self) -> list[dict[str, Any]]:
        return [reader.file.identity() | {"content": reader.fingerprint(), "rows": reader.rows} for reader in self.readers]

    def identities(self, rows: np.ndarray) -> np.ndarray:
        import numpy as np

        out = np.empty(len(rows), dtype=np.int64)
        groups = self._group_of(rows)
        for group in np.unique(groups).tolist():
            here = groups == group
            file, number = self.groups[group]
            out[here] = stamps(file, rows[here] - self.bounds[group] + self.readers[file].groups[number].first_row)
        return out

    def place(self, row: int) -> str:
        group = int(self.bounds.searchsorted(row, side="right")) - 1
        file, number = self.groups[group]
        reader = self.readers[file]
        return f"{reader.file.shown}, row {row - int(self.bounds[group]) + reader.groups[number].first_row}"

    def read_column(self, name: str) -> Iterator[pa.Array]:
        import numpy as np

        if name == "target" and name not in self.readers[0].schema.names:
            if not isinstance(self.source.target, str):
                what = "has no target" if self.source.target is None else "has a target of several columns"
                raise DataError(
                    f"the data {what}: a split needs one column", help="name it: Split(share=0.1, stratify='column')"
                )
            name = self.source.target
        for file, number in self.groups:
            reader = self.readers[file]
            read = reader.read(number, [name], skip_bad=self.source.on_bad_rows == "skip")
            column = read.table.column(0)
            if read.rows is not None and len(
                read.rows
            ):  # bad rows keep their numbers; nobody uses them: the value before will do
                before = read.rows.searchsorted(np.arange(reader.groups[number].rows), side="right") - 1
                column = column.take(to_arrow(np.maximum(before, 0)))
            yield column.combine_chunks()

    def training(self, index: Index) -> TrainingRows:
        """What is learned from: the rows of ``index`` alone."""
        return TrainingRows(self, index)

    def close(self) -> None:
        if self._loader is not None:
            self._loader.close()

    def _too_large(self, *, needed: int) -> DataError:
        group, budget = (f"{size / 2**20:.3g} MiB" for size in (self._group_bytes, self._budget))
        return DataError(
            f"the data takes more than its bound of memory, {budget}, in which there is no room for {needed} of its row groups",
            where=self.readers[0].file.shown,
            note=f"the largest takes {group}" + (", and rows held out are read beside those that train" if needed > 2 else ""),
            help="raise the data's memory=, read fewer columns, or write the files with smaller row groups",
        )

    def _group_of(self, rows: np.ndarray) -> np.ndarray:
        groups: np.ndarray = self.bounds.searchsorted(rows, side="right") - 1
        return groups

    def _reading(self) -> _Reading:
        assert self.learned is not None, "what the recipe asks for is learned before a row is taken"
        return _Reading(self, Decoder(self.plans, self.learned, skip_bad=self.source.on_bad_rows == "skip"))

    def _whole(self) -> Arena:
        """All rows in memory; read at first use."""
        if self._arena is None:
            arena, read = Arena(self.plans, rows=len(self)), self._reading()
            spans = [arena.span(int(a), int(b)) for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="gdist-read") as pool:
                for slot in pool.map(read, range(len(spans)), spans):
                    arena.filled(slot)
            self._arena = arena
        return self._arena

    def _stream(self) -> Loader:
        if self._loader is None:
            most = self._group_bytes // (sum(plan.row_bytes for plan in self.plans) + _BOOKKEEPING)
            arena = Arena(self.plans, rows=self.slots * most)
            self._loader = Loader(
                self._reading(), arena, bounds=self.bounds, slots=self.slots, threads=self._threads, deadline_s=self.deadline_s
            )  # fmt: skip
        return self._loader


class _Reading:
    """Fills a slot with a row group: read, decoded, each row stamped with the file and number that it was read at."""

    def __init__(self, rows: TableRows, decoder: Decoder) -> None:
        self._rows, self._decoder = rows, decoder
        self._skip_bad = rows.source.on_bad_rows == "skip"

    def __call__(self, number: int, slot: Slot) -> Slot:
        import numpy as np

        file, group = self._rows.groups[number]
        reader = self._rows.readers[file]
        read = reader.read(group, self._decoder.columns, skip_bad=self._skip_bad)
        first_row, rows = reader.groups[group].first_row, reader.groups[group].rows
        local = np.arange(read.table.num_rows) if read.rows is None else read.rows
        out = {name: array[:rows] for name, array in slot.tensors.items()}
        self._decoder.decode(read, out, slot.bad[:rows], where=reader.place(group), first_row=first_row)
        if read.rows is not None:  # those that no reader can make out are known by their place alone
            slot.stamps[:rows] = stamps(file, first_row + np.arange(rows))
        slot.stamps[local] = stamps(file, first_row + local)
        for row in np.flatnonzero(slot.bad[:rows])[: _TOLD_BAD - len(self._rows.bad_rows)].tolist():
            why = read.bad.get(row, "values that are missing, not finite or unknown")
            self._rows.bad_rows.append(f"{reader.file.shown}, row {first_row + row}: {why}")
        return slot


class TrainingRows:
    """A table's rows that train, row group by row group, as the statistics pass reads them."""

    def __init__(self, rows: TableRows, index: Index) -> None:
        self._rows, self._index = rows, index
        self.schema = rows.schema
        self.groups = rows.groups

    def read_group(self, number: int, columns: Sequence[str]) -> tuple[pa.Table, str, int | np.ndarray]:
        """(``columns`` of a row group's training rows, where it is, the number in its file of the first row or of each)."""
        import numpy as np
        import pyarrow as pa

        rows = self._rows
        file, group = rows.groups[number]
        reader = rows.readers[file]
        read = reader.read(group, list(columns), skip_bad=rows.source.on_bad_rows == "skip")
        begin, end = int(rows.bounds[number]), int(rows.bounds[number + 1])
        first_row = reader.groups[group].first_row
        kept = self._index.local(begin, end)
        if len(kept) == end - begin and read.rows is None:
            return read.table, reader.place(group), first_row
        if read.rows is None:
            mask = np.zeros(end - begin, dtype=bool)
            mask[kept] = True
        else:
            mask = np.isin(read.rows, kept, assume_unique=True)
            kept = read.rows[mask]
        return read.table.filter(pa.array(mask)), reader.place(group), first_row + kept


def _as_floats(plan: TensorPlan, floats: torch.dtype | None) -> TensorPlan:
    if floats is None or not plan.dtype.startswith("float"):
        return plan
    return replace(plan, dtype=str(floats).removeprefix("torch."))
