"""Tables in row groups, as the statistics pass reads them: in memory, with rows that are not for training left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from gdist.data.learned import Learned, Recipe
from gdist.data.learned.values import flatten


class TableInGroups:
    """``table`` cut into groups of ``rows``; ``training``: which rows are learned from (all if not given)."""

    def __init__(self, table: pa.Table, *, rows: int, training: np.ndarray | None = None) -> None:
        self._table, self._rows, self._training = table, rows, training
        self.schema = table.schema
        self.groups = range(-(-len(table) // rows))

    def read_group(self, i: int, columns: Sequence[str]) -> tuple[pa.Table, str, int | np.ndarray]:
        start = i * self._rows
        group = self._table.slice(start, self._rows).select(list(columns))
        if self._training is None:
            return group, f"t.parquet, row group {i}", start
        kept = np.flatnonzero(self._training[start : start + self._rows])
        return group.take(pa.array(kept)), f"t.parquet, row group {i}", kept + start


def learned(
    table: pa.Table, *, rows: int = 100, training: np.ndarray | None = None, skip_bad: bool = False, **said: object
) -> Learned:
    """What one worker learns."""
    from gdist.engine.collective import Alone
    from gdist.worker.learn import learn

    source = TableInGroups(table, rows=rows, training=training)
    return learn(source, Recipe.of(table.schema, **said), Alone(), skip_bad=skip_bad)  # type: ignore[arg-type]


def tensor(learned: Learned, table: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """The columns as the model sees them: converted, scaled, indicators at the end; float64, shape (rows, width)."""
    parts, indicators = [], {}
    for name in columns:
        values, bad, missing = learned.convert(name, table.column(name), where="t.parquet")
        assert bad is None
        flat = flatten(values)
        parts.append(flat.values.astype(np.float64).reshape(flat.rows, flat.width))
        indicators[name] = np.zeros(len(table)) if missing is None else missing
    found = np.concatenate([*parts, *(indicators[name][:, None] for name in learned.indicators(columns))], axis=1)
    affine = learned.affine(columns, [part.shape[1] for part in parts])
    return found if affine is None else (found - affine[0]) * affine[1]


ROWS = 1_037
NUMBERS = ["far", "small", "whole", "constant", "flag"]


def mixed(*, gaps: bool = False) -> pa.Table:
    """Numbers of several types, far from zero, tiny and constant, a fifth of them missing with ``gaps``; categories; lists."""
    rng = np.random.default_rng(5)
    numbers: dict[str, np.ndarray] = {
        "far": (rng.standard_normal(ROWS) + 1e6).astype(np.float32),
        "small": np.exp(rng.standard_normal(ROWS) * 3) * 1e-9,
        "whole": rng.integers(-4, 9, ROWS),
        "constant": np.full(ROWS, 0.1),
        "flag": rng.random(ROWS) < 0.3,
    }
    holes = [pa.array(rng.random(ROWS) < 0.2) if gaps else pa.nulls(ROWS, pa.bool_()) for _ in numbers]
    columns = {
        name: pa.compute.if_else(hole.fill_null(False), pa.scalar(None), pa.array(values))
        for (name, values), hole in zip(numbers.items(), holes, strict=True)
    }
    words = np.array(["köln", "Bonn", "aachen", "", "bonn", "東京"])
    columns["city"] = pa.array(words[rng.integers(0, 6, ROWS)])
    columns["code"] = pa.array(rng.integers(-3, 4, ROWS) * 7)
    columns["image"] = pa.FixedSizeListArray.from_arrays(pa.array(rng.standard_normal(ROWS * 3).astype(np.float32)), 3)
    return pa.table(columns)
