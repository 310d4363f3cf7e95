"""The rows of a table, opened: all of them in memory where they fit into the job's bound, else row groups as they are needed.

Both ways fill the same kind of memory (``arena.py``) by the same decoder and give the same batches; only the order of the
samples differs (``order.py``, ``streams.py``), and which one it is follows from the data and the job, never from the worker.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from gdist.data.arena import Arena
from gdist.data.batch import Batch
from gdist.data.columns import TensorPlan, choose, choose_all, plan_tensors
from gdist.data.decode import Decoder
from gdist.data.facts import DataFacts, facts_of
from gdist.data.formats.file_set import common_schema
from gdist.data.formats.not_numbers import refuse_words
from gdist.data.learned.learned import Learned
from gdist.data.learned.recipe import Recipe
from gdist.data.loader import Loader
from gdist.data.order import Order, UniformOrder
from gdist.data.reading import Reading
from gdist.data.row_groups import RowGroups, TrainingRows
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
        self.source = source
        self.groups = RowGroups(readers, skip_bad=source.on_bad_rows == "skip")
        self.deadline_s = source.deadline_s
        first = self.groups.readers[0]
        chosen: dict[str, Any] = {
            "features": source.features, "target": source.target, "extra": source.extra, "where": first.file.shown
        }  # fmt: skip
        used = choose_all(first.schema.names, **chosen)
        columns = list(dict.fromkeys(column for of_tensor in used.values() for column in of_tensor))
        self.schema = common_schema(self.groups.readers, columns)
        named = choose(source.categories, columns, where=first.file.shown, role="categories") if source.categories else []
        refuse_words(self.groups.readers, [name for name in columns if name not in (*named, *used.get("target", ()))])
        self.recipe = Recipe.of(
            self.schema, **chosen, scale=source.scale, fill=source.fill, indicators=source.indicators,
            categories=source.categories,
        )  # fmt: skip
        plans = plan_tensors(self.schema, **chosen, shape=source.shape, dtypes=source.dtypes, recipe=self.recipe)
        self.plans = [_as_floats(plan, floats) for plan in plans]
        self.learned = learned if learned is not None or not self.recipe.empty else Learned.nothing(self.recipe)
        if not len(self):
            where = ", ".join(reader.file.shown for reader in self.groups.readers[:3])
            help = "write rows into it, or name another file, a folder or a glob as the path"
            raise DataError("the data is empty: no file has a row", where=where, help=help)
        self._floats = floats
        self._budget = budget or int(source.memory)
        row_bytes = sum(plan.row_bytes for plan in self.plans) + _BOOKKEEPING
        self.follows = len(self) * row_bytes > int(source.memory)
        self._group_bytes = self.groups.largest * row_bytes
        self._casts: dict[torch.dtype, TableRows] = {}
        self._reading: Reading | None = None
        self._arena: Arena | None = None
        self._loader: Loader | None = None

    def __len__(self) -> int:
        return self.groups.rows

    @property
    def bytes_read(self) -> int:
        """Bytes of rows read from storage so far, as stored."""
        return self.groups.bytes_read

    @property
    def bad_rows(self) -> Sequence[str]:  # type: ignore[override]
        return self._reading.bad_rows if self._reading is not None else ()

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
            self.groups.bounds, index, seed=seed, batch_size=batch_size, streams=streams,
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

        found: list[int] = np.unique(self.groups.of(rows)).tolist()
        return found

    def columns(self) -> dict[str, Column]:
        import torch

        return {plan.name: Column(plan.shape, getattr(torch, plan.dtype)) for plan in self.plans}

    def facts(self) -> DataFacts:
        return facts_of(self.columns(), self.plans, self.learned)

    def cast(self, floats: torch.dtype) -> TableRows:
        if all(_as_floats(plan, floats) == plan for plan in self.plans):
            return self
        if floats not in self._casts:
            self._casts[floats] = self._with(floats=floats)
        return self._casts[floats]

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
        readers = [reader.with_text(learned.text) for reader in self.groups.readers]
        return self._with(learned=learned, readers=readers)

    def divided(self) -> tuple[TableRows, TableRows]:
        """The same rows twice, to be read at different places at a time, in the same memory together."""
        if not self.follows:
            return self, self
        second = max(2 * self._group_bytes, self._budget // 4)
        if self._budget - second < 2 * self._group_bytes:
            raise self._too_large(needed=4)
        return self._with(budget=self._budget - second), self._with(budget=second)

    def fingerprint(self) -> str:
        plans = [{key: value for key, value in asdict(plan).items() if key != "dtype"} for plan in self.plans]
        text = json.dumps([plans, self.recipe.fingerprint(), self.groups.fingerprint()])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def files(self) -> list[dict[str, Any]]:
        return self.groups.files()

    def identities(self, rows: np.ndarray) -> np.ndarray:
        return self.groups.identities(rows)

    def place(self, row: int) -> str:
        return self.groups.place(row)

    def read_column(self, name: str) -> Iterator[pa.Array]:
        if name == "target" and name not in self.groups.readers[0].schema.names:
            if not isinstance(self.source.target, str):
                what = "has no target" if self.source.target is None else "has a target of several columns"
                raise DataError(
                    f"the data {what}: a split needs one column", help="name it: Split(share=0.1, stratify='column')"
                )
            name = self.source.target
        return self.groups.column(name)

    def training(self, index: Index) -> TrainingRows:
        """What is learned from: the rows of ``index`` alone."""
        return TrainingRows(self.groups, self.schema, index)

    def close(self) -> None:
        if self._loader is not None:
            self._loader.close()

    def _with(self, **changed: Any) -> TableRows:
        kept: dict[str, Any] = {"readers": self.groups.readers, "learned": self.learned, "floats": self._floats}
        return TableRows(self.source, **({**kept, "budget": self._budget} | changed))

    def _too_large(self, *, needed: int) -> DataError:
        group, budget = (f"{size / 2**20:.3g} MiB" for size in (self._group_bytes, self._budget))
        enough = needed * self._group_bytes
        return DataError(
            f"the data takes more than its bound of memory, {budget}, in which there is no room for {needed} of its row groups",
            where=self.groups.readers[0].file.shown,
            note=f"the largest takes {group}" + (", and rows held out are read beside those that train" if needed > 2 else ""),
            help=f"memory='{-(-enough // 2**20)}MiB' is enough, more mixes better; or use fewer columns, or smaller row groups",
        )

    def _read(self) -> Reading:
        if self._reading is None:
            assert self.learned is not None, "what the recipe asks for is learned before a row is taken"
            self._reading = Reading(self.groups, Decoder(self.plans, self.learned, skip_bad=self.groups.skip_bad))
        return self._reading

    def _whole(self) -> Arena:
        """All rows in memory; read at first use."""
        if self._arena is None:
            arena, bounds = Arena(self.plans, rows=len(self)), self.groups.bounds.tolist()
            spans = [arena.span(begin, end) for begin, end in itertools.pairwise(bounds)]
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="gdist-read") as pool:
                for slot in pool.map(self._read(), range(len(spans)), spans):
                    arena.filled(slot)
            self._arena = arena
        return self._arena

    def _stream(self) -> Loader:
        if self._loader is None:
            arena = Arena(self.plans, rows=self.slots * self.groups.largest)
            self._loader = Loader(
                self._read(), arena, bounds=self.groups.bounds, slots=self.slots, threads=self._threads,
                deadline_s=self.deadline_s,
            )  # fmt: skip
        return self._loader


def _as_floats(plan: TensorPlan, floats: torch.dtype | None) -> TensorPlan:
    if floats is None or not plan.dtype.startswith("float"):
        return plan
    return replace(plan, dtype=str(floats).removeprefix("torch."))
