"""Parts summed up and merged say what the whole says."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gdist.data.survey.summary import MOST_DISTINCT, Summary, family, summarize


def in_parts(values: pa.Array, parts: int) -> Summary:
    column = pa.chunked_array([values])
    found = Summary(family(column.type))
    size = -(-len(column) // parts)
    for first in range(0, len(column), size):
        found.merge(summarize(column.slice(first, size)))
    return found


@pytest.mark.parametrize("parts", [1, 2, 7, 100])
def test_moments_are_those_of_the_whole_however_far_from_zero(parts: int) -> None:
    numbers = np.random.default_rng(0).normal(1e6, 0.01, 1000)
    found = in_parts(pa.array(numbers), parts)
    assert found.count == 1000
    assert found.mean == pytest.approx(numbers.mean(), rel=1e-15)
    assert found.std == pytest.approx(numbers.std(), rel=1e-9)
    assert (found.least, found.most) == (numbers.min(), numbers.max())


def test_nulls_nan_and_infinity_are_counted_and_left_out() -> None:
    found = in_parts(pa.array([1.0, None, float("nan"), float("inf"), 3.0, None]), 3)
    assert (found.rows, found.nulls, found.nans, found.infinite, found.count) == (6, 2, 1, 1, 2)
    assert (found.mean, found.std, found.least, found.most) == (2.0, 1.0, 1.0, 3.0)


def test_whole_numbers_stay_whole() -> None:
    found = in_parts(pa.array([2**62 + 1, 2**62 + 3]), 2)
    assert (found.least, found.most) == (2**62 + 1, 2**62 + 3)


def test_distinct_values_are_counted_up_to_a_bound() -> None:
    few = in_parts(pa.array(["a", "b", None, "a", "c"]), 2)
    assert few.counts == {"a": 2, "b": 1, "c": 1}
    assert in_parts(pa.array(range(MOST_DISTINCT)), 3).counts is not None
    assert in_parts(pa.array(range(MOST_DISTINCT + 1)), 3).counts is None


@pytest.mark.parametrize(
    ("values", "which"),
    [
        (pa.array([True, None]), "number"),
        (pa.array(["x", "x"]).dictionary_encode(), "text"),
        (pa.array(["x", None], pa.string_view()), "text"),
        (pa.array([b"x", None], pa.binary_view()), "bytes"),
        (pa.array([1, None], pa.duration("ns")), "other"),
        (pa.array([b"x"]), "bytes"),
        (pa.array([{"bytes": b"x", "path": None}]), "bytes"),
        (pa.array([datetime.date(2024, 1, 2)]), "time"),
        (pa.array([1], pa.timestamp("ns")), "time"),
        (pa.array([[1, 2], [3]]), "numbers"),
        (pa.array([[[1.5], [2.5]]], pa.list_(pa.list_(pa.float32(), 1), 2)), "numbers"),
        (pa.array([["x"]]), "other"),
        (pa.array([{"a": 1}]), "other"),
        (pa.nulls(3), "other"),
        (pa.array([decimal.Decimal("1.25")]), "number"),
        (pa.array([1, 2], pa.float16()), "number"),
    ],
)
def test_any_column_can_be_summed_up(values: pa.Array, which: str) -> None:
    found = in_parts(pa.concat_arrays([values, values]), 2)
    assert (found.family, found.rows) == (which, 2 * len(values))
    empty: Any = summarize(pa.chunked_array([values.slice(0, 0)]))
    assert (empty.rows, empty.std) == (0, None)


def test_lists_know_how_long_they_are() -> None:
    found = in_parts(pa.array([[1.0, 3.0], [5.0], None]), 3)
    assert (found.shortest, found.longest, found.mean, found.count) == (1, 2, 3.0, 3)
