"""What was learned changes columns alike in training, evaluation and prediction: any chunks, any thread, after any JSON."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from gdist.data.learned import Learned
from gdist.errors import DataError
from tests.data.learned.tables import learned, tensor

TRAINED = pa.table(
    {
        "x": pa.array([0.1, None, 0.7, 1 / 3], pa.float32()),
        "n": pa.array([1, 2, None, 4], pa.int16()),
        "pair": pa.array([[1.0, 2.0], None, [None, 3.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
        "city": ["b", "a", None, "c"],
        "label": ["no", "yes", "no", "yes"],
    }
)
COLUMNS = ("x", "n", "pair", "city")
SAID = {
    "target": "label",
    "categories": "city",
    "fill": {"x": "mean", "n": "median", "pair": 0.5, "city": "most_frequent"},
    "scale": {"x": "standardize", "pair": "minmax"},
    "indicators": True,
}


def test_it_comes_back_from_json_with_every_bit() -> None:
    found = learned(TRAINED, **SAID)
    again = Learned.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert tensor(again, TRAINED, COLUMNS).tobytes() == tensor(found, TRAINED, COLUMNS).tobytes()


def test_chunks_and_slices_change_nothing() -> None:
    found = learned(TRAINED, **SAID)
    expected = tensor(found, TRAINED, COLUMNS)
    chunked = pa.concat_tables([TRAINED.slice(0, 1), TRAINED.slice(1, 2), TRAINED.slice(3)])
    assert tensor(found, chunked, COLUMNS).tobytes() == expected.tobytes()
    assert tensor(found, TRAINED.slice(1, 2), COLUMNS).tobytes() == expected[1:3].tobytes()
    assert tensor(found, TRAINED.slice(0, 0), COLUMNS).shape == (0, expected.shape[1])


def test_a_column_without_gaps_keeps_its_memory() -> None:
    column = pa.array(np.arange(6, dtype=np.float32))
    converted = Learned().convert("x", column, where="t.parquet")
    assert converted.values is column
    assert converted.bad is None
    assert converted.missing is None


def test_threads_may_use_it_at_once() -> None:
    found = learned(TRAINED, **SAID)
    expected = tensor(found, TRAINED, COLUMNS).tobytes()
    with ThreadPoolExecutor(8) as pool:
        assert {each.tobytes() for each in pool.map(lambda _: tensor(found, TRAINED, COLUMNS), range(64))} == {expected}


def test_what_training_never_saw_is_code_0_in_features_and_an_error_in_the_target() -> None:
    found = learned(TRAINED, **SAID)
    new = pa.array(["c", "d", "a"])
    assert found.convert("city", new, where="t.parquet").values.to_pylist() == [3, 0, 1]
    with pytest.raises(DataError) as error:
        found.convert("label", pa.array(["yes", "maybe", "maybe"]), where="t.parquet, row group 2", first_row=40)
    assert str(error.value).splitlines() == [
        "the target `label` has the value 'maybe', which no training row has, in row 41, the first of 2 such rows",
        "  --> t.parquet, row group 2",
        "note: known: 'no', 'yes'",
        "help: train with rows of that class, or leave those rows out",
    ]


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("plain", [1.0, None, None], "column `plain` has 2 missing values, the first in row 41"),
        ("plain", [1.0, 2.0, float("nan")], "column `plain` has 1 value that is NaN, in row 42"),
        ("plain", [float("-inf"), 2.0, None], "column `plain` has 1 missing value, in row 42"),
        ("x", [float("-inf"), 2.0, None], "column `x` has 1 infinite value, in row 40"),
        ("label", [None, "no", "yes"], "column `label` has 1 missing value, in row 40"),
        ("plain", ["a", "b", "c"], "column `plain` holds string, not numbers"),
        ("city", [1, 2, 3], "column `city` holds int64, its categories were learned as string"),
    ],
)
def test_values_that_no_model_can_use_are_counted_and_placed(name: str, values: list[object], what: str) -> None:
    found = learned(TRAINED, **SAID)
    with pytest.raises(DataError) as error:
        found.convert(name, pa.array(values), where="t.parquet", first_row=40)
    assert error.value.what == what
    assert error.value.where == "t.parquet"


def test_rows_keep_their_numbers_where_some_are_left_out() -> None:
    with pytest.raises(DataError, match="in row 97"):
        Learned().convert("x", pa.array([1.0, None]), where="t.parquet", first_row=np.array([3, 97]))


@pytest.mark.parametrize(
    ("name", "values", "bad"),
    [
        ("plain", [1.0, None, float("inf"), float("nan")], [False, True, True, True]),
        ("x", [1.0, None, float("inf"), float("nan")], [False, False, True, False]),
        ("label", ["no", None, "maybe", "yes"], [False, True, True, False]),
    ],
)
def test_bad_rows_are_marked_where_they_may_be_skipped(name: str, values: list[object], bad: list[bool]) -> None:
    converted = learned(TRAINED, **SAID).convert(name, pa.array(values), where="t.parquet", skip_bad=True)
    assert converted.bad is not None
    assert converted.bad.tolist() == bad
    assert converted.values.null_count == 0


def test_rows_to_drop_are_bad_rows_without_an_error() -> None:
    found = learned(TRAINED, target="label", categories="city", fill="drop")
    for name, expected in (
        ("x", [False, True, False, False]),
        ("pair", [False, True, True, False]),
        ("city", [False, False, True, False]),
    ):
        converted = found.convert(name, TRAINED.column(name), where="t.parquet")
        assert converted.bad is not None
        assert converted.bad.tolist() == expected
        assert converted.missing is None


def test_a_type_that_cannot_be_the_learned_one_is_an_error() -> None:
    found = learned(pa.table({"c": [3, 1, 2]}), categories="c")
    assert found.convert("c", pa.array([1, 2], pa.int8()), where="t.parquet").values.to_pylist() == [1, 2]
    assert found.convert("c", pa.array([1.0, float("nan")]), where="t.parquet").values.to_pylist() == [1, 0]
    with pytest.raises(DataError, match="holds string, its categories were learned as int64"):
        found.convert("c", pa.array(["one"]), where="t.parquet")
