"""What is learned has the same bits, and what is unusable the same error, at any number of workers."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from gdist.data.learned import Recipe
from gdist.errors import DataError
from gdist.worker.learn import learn
from tests.data.learned.tables import NUMBERS, TableInGroups, learned, mixed
from tests.ranks import run_ranks

SAID = {
    "scale": {"*": "standardize", "small": "minmax"},
    "fill": {"far": "mean", "small": "median", "whole": "most_frequent", "constant": "median", "flag": "most_frequent"},
    "categories": ("code", "city"),
}


def _learn(collective: object, rows: int) -> str:
    table = mixed(gaps=True)
    found = learn(TableInGroups(table, rows=rows), Recipe.of(table.schema, **SAID), collective)  # type: ignore[arg-type]
    return json.dumps(found.to_json())


@pytest.mark.parametrize("rows", [97, 600, 2000])
def test_the_same_bits_are_learned_at_any_number_of_workers(rows: int) -> None:
    """Of 11 row groups, of 2 (fewer than workers) and of 1."""
    table = mixed(gaps=True)
    alone = json.dumps(learned(table, rows=rows, **SAID).to_json())
    for size in (2, 3, 4):
        assert set(run_ranks(_learn, size, rows)) == {alone}


def _categories(collective: object) -> str:
    table = mixed(gaps=True)
    recipe = Recipe.of(table.schema, features=("city", "code"), categories=("city", "code"))
    return json.dumps(learn(TableInGroups(table, rows=200), recipe, collective).to_json())  # type: ignore[arg-type]


@pytest.mark.parametrize("carrier", ["sockets", "gloo"])
def test_categories_alone_are_learned_by_any_number_of_workers(carrier: str) -> None:
    assert (
        len(
            {
                *run_ranks(_categories, 1),
                *run_ranks(_categories, 2, carrier=carrier),
                *run_ranks(_categories, 3, carrier=carrier),
            }
        )
        == 1
    )


def _sketch(collective: object) -> tuple[float, bool]:
    values = np.random.default_rng(8).standard_normal(200_000) - 5
    table = pa.table({"x": values})
    found = learn(TableInGroups(table, rows=9_000), Recipe.of(table.schema, fill="median"), collective)  # type: ignore[arg-type]
    column = found.columns["x"]
    assert column.fill is not None
    return float(column.fill[0]), column.statistics["exact_median"]


def test_the_median_of_many_values_is_near_and_the_same_at_any_number_of_workers() -> None:
    from gdist.engine.collective import Alone

    found, exact = _sketch(Alone())
    assert not exact
    assert found == pytest.approx(np.median(np.random.default_rng(8).standard_normal(200_000) - 5), rel=2**-11)
    for size in (2, 3):
        assert set(run_ranks(_sketch, size)) == {(found, exact)}


def _unusable(collective: object) -> str:
    y = pa.array([None if i in (23, 57, 58) else float(i) for i in range(60)])
    table = pa.table({"y": y})
    try:
        learn(TableInGroups(table, rows=7), Recipe.of(table.schema, scale="minmax"), collective)  # type: ignore[arg-type]
    except DataError as error:
        return str(error)
    return "no error"


def test_what_is_unusable_is_counted_over_all_workers_and_each_says_the_same() -> None:
    for size in (1, 2, 3):
        (said,) = set(run_ranks(_unusable, size))
        assert said.splitlines()[:2] == [
            "column `y` has 3 missing values, the first in row 23",
            "  --> t.parquet, row group 3",
        ]


class _Torn(TableInGroups):
    def read_group(self, i: int, columns: object) -> tuple[pa.Table, str, int | np.ndarray]:
        if i in (2, 5):
            raise DataError("a data file is damaged", where=f"t.parquet, row group {i}")
        return super().read_group(i, columns)  # type: ignore[arg-type]


def _torn(collective: object) -> str:
    table = mixed()
    try:
        learn(_Torn(table, rows=150), Recipe.of(table.schema, scale="minmax"), collective)  # type: ignore[arg-type]
    except DataError as error:
        return str(error)
    return "no error"


def test_a_part_that_cannot_be_read_ends_the_pass_of_all_workers() -> None:
    for size in (1, 3):
        assert set(run_ranks(_torn, size)) == {"a data file is damaged\n  --> t.parquet, row group 2"}


def _cached(collective: object, folder: str, damaged: bool) -> str:
    import os

    os.environ["GDIST_CACHE"] = f"{folder}/{collective.rank}"  # type: ignore[attr-defined]  # each a machine of its own
    table = mixed() if not damaged else pa.table({"x": pa.array([], pa.float32())})
    recipe = Recipe.of(mixed().schema, features=NUMBERS, scale="standardize")
    found = learn(TableInGroups(table, rows=300), recipe, collective, fingerprint="of the data")  # type: ignore[arg-type]
    return json.dumps(found.to_json())


@pytest.mark.parametrize("size", [1, 3])
def test_what_was_learned_before_is_taken_from_the_first_worker_s_cache(size: int, tmp_path: object) -> None:
    first = run_ranks(_cached, size, str(tmp_path), False)
    assert run_ranks(_cached, size, str(tmp_path), True) == first
