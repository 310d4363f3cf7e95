"""What fills a gap, and what is a category, is the value itself, whatever type its column happens to have."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from gdist.data.learned import Learned, Recipe
from gdist.errors import DataError
from tests.data.learned.tables import learned


@pytest.mark.parametrize(
    ("stored", "values", "fill"),
    [
        (pa.uint8(), [1, None, 3], -1),
        (pa.uint8(), [1, None, 3], 300),
        (pa.int8(), [1, None, 3], 200),
        (pa.uint64(), [2**60 + 1, None, 3], -5),
        (pa.uint64(), [2**40, None, 3], 1e30),
        (pa.float32(), [1, None, 3], 0.1),
        (pa.float16(), [1, None, 3], 70_000),
        (pa.bool_(), [True, None, False], 0.5),
    ],
)
def test_a_gap_is_filled_with_the_value_that_was_given(stored: pa.DataType, values: list[object], fill: float) -> None:
    column = pa.array(values, pa.float32() if pa.types.is_float16(stored) else stored).cast(stored)
    found = learned(pa.table({"x": column, "y": [0] * 3}), target="y", fill={"x": fill}, scale="standardize")
    shown = [fill if value is None else float(value) for value in values]  # type: ignore[arg-type]
    got = found.convert("x", column, where="t.parquet").values.to_pylist()
    assert found.columns["x"].shift == pytest.approx([np.mean(shown)])
    assert got == [fill if value is None else value for value in values]


def test_a_fill_value_that_squares_to_infinity_is_refused_with_a_scale() -> None:
    table = pa.table({"x": pa.array([1.0, None]), "y": [0, 0]})
    with pytest.raises(DataError, match="too large to be scaled"):
        learned(table, target="y", fill={"x": 1e300}, scale="standardize")


@pytest.mark.parametrize(
    ("trained", "given", "codes"),
    [
        (pa.array([1, 2**63, 2**64 - 1], pa.uint64()), pa.array([-5, 1, None]), [0, 1, 0]),
        (pa.array([1, 2**63, 2**64 - 1], pa.uint64()), pa.array([2**63, 2**64 - 1], pa.uint64()), [2, 3]),
        (pa.array([-1, 5]), pa.array([2**63, 5, None], pa.uint64()), [0, 2, 0]),
        (pa.array([1, 5]), pa.array([5.0, 2.5, float("nan"), 1e30]), [2, 0, 0, 0]),
        (pa.array([1, 5]), pa.array(["05", "7", None]), [2, 0, 0]),
        (pa.array(["05", "7"]), pa.nulls(2), [0, 0]),
        (pa.array([-0.0, 1.0]), pa.array([0.0, -0.0, 1.0]), [1, 1, 2]),
        (pa.array([0.0, 1.0]).dictionary_encode(), pa.array([-0.0]).dictionary_encode(), [1]),
        (pa.array([3, 4]), pa.DictionaryArray.from_arrays(pa.array([1, 0, None]), pa.array([4, None])), [0, 2, 0]),
    ],
)
def test_a_category_is_found_whatever_the_type_of_its_column(trained: pa.Array, given: pa.Array, codes: list[int]) -> None:
    found = learned(pa.table({"c": trained, "y": [0] * len(trained)}), target="y", categories="c")
    assert Learned.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.convert("c", given, where="t.parquet").values.to_pylist() == codes


@pytest.mark.parametrize(
    "trained",
    [
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array([3, None, 4])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array([3.0, float("nan"), 4.0])),
    ],
)
def test_what_a_dictionary_has_as_missing_is_no_category(trained: pa.Array) -> None:
    table = pa.table({"c": trained, "y": [0] * 4})
    found = learned(table, target="y", categories="c")
    assert found.columns["c"].vocabulary == (3, 4)
    assert found.convert("c", trained, where="t.parquet").values.to_pylist() == [1, 0, 2, 0]
    filled = learned(table, target="y", categories="c", fill={"c": "most_frequent"})
    assert filled.convert("c", trained, where="t.parquet").values.to_pylist() == [1, 1, 2, 1]


@pytest.mark.parametrize(
    ("values", "fill", "what"),
    [
        (pa.array([1, None]), True, "`c` cannot be filled with True: its categories are such as 1"),
        (pa.array([True, None]), 1, "`c` cannot be filled with 1: its categories are such as True"),
        (pa.array([1, None]), "a", "`c` cannot be filled with 'a': its categories are such as 1"),
        (pa.array([2**63, None], pa.uint64()), -1, "`c` cannot be filled with -1: no whole number of 64 bits holds all of its"),
    ],
)
def test_a_category_is_filled_with_one_of_its_kind(values: pa.Array, fill: object, what: str) -> None:
    with pytest.raises(DataError) as error:
        learned(pa.table({"c": values, "y": [0, 0]}), target="y", categories="c", fill={"c": fill})
    assert error.value.what.startswith(what)


def test_lists_without_elements_have_no_categories_and_no_gaps() -> None:
    schema = pa.schema({"x": pa.list_(pa.float32(), 0), "y": pa.int64()})
    with pytest.raises(DataError, match="lists of categories, which have no codes"):
        Recipe.of(schema, target="y", categories="x")
    for said in ({"fill": {"x": 0}}, {"scale": "standardize"}):
        with pytest.raises(DataError, match="`x` holds lists without elements"):
            Recipe.of(schema, target="y", **said)  # type: ignore[arg-type]
