"""What is learned is what scikit-learn and NumPy find in float64, with the same bits at any number of workers."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OrdinalEncoder, StandardScaler

from gdist.data.learned import Recipe
from gdist.errors import DataError
from gdist.worker.learn import learn
from tests.data.learned.tables import TableInGroups, learned, tensor
from tests.ranks import run_ranks

ROWS = 1_037
NUMBERS = ["far", "small", "whole", "constant", "flag"]


def mixed(*, gaps: bool = False) -> pa.Table:
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


def as_sklearn(table: pa.Table, columns: list[str]) -> np.ndarray:
    return np.stack([table.column(name).cast(pa.float64()).to_numpy() for name in columns], axis=1)


@pytest.mark.parametrize(("scale", "theirs"), [("standardize", StandardScaler()), ("minmax", MinMaxScaler())])
def test_numbers_are_scaled_as_scikit_learn_scales_them(scale: str, theirs: StandardScaler | MinMaxScaler) -> None:
    table = mixed()
    found = tensor(learned(table, scale=scale, features=NUMBERS), table, NUMBERS)
    np.testing.assert_allclose(found, theirs.fit_transform(as_sklearn(table, NUMBERS)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("fill", ["mean", "median", "most_frequent", 0.25])
def test_gaps_are_filled_as_scikit_learn_fills_them(fill: str | float) -> None:
    table = mixed(gaps=True)
    columns = NUMBERS[:4]
    strategy = {"strategy": fill} if isinstance(fill, str) else {"strategy": "constant", "fill_value": fill}
    theirs = SimpleImputer(**strategy, add_indicator=True).fit_transform(as_sklearn(table, columns))
    found = tensor(learned(table, fill=fill, features=columns, indicators=True), table, columns)
    np.testing.assert_allclose(found, theirs, rtol=1e-7)


def test_columns_are_scaled_after_they_are_filled() -> None:
    table = mixed(gaps=True)
    theirs = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit_transform(as_sklearn(table, NUMBERS))
    found = tensor(learned(table, fill="median", scale="standardize", features=NUMBERS), table, NUMBERS)
    np.testing.assert_allclose(found, theirs, rtol=1e-6, atol=1e-6)


def test_nan_is_missing_where_the_column_is_filled() -> None:
    table = pa.table({"x": pa.array([1.0, float("nan"), None, 4.0])})
    found = learned(table, fill="mean", indicators=True)
    assert tensor(found, table, ["x"]).tolist() == [[1, 0], [2.5, 1], [2.5, 1], [4, 0]]


def test_categories_become_codes_by_their_sorted_values() -> None:
    table = mixed()
    columns = ["city", "code"]
    theirs = OrdinalEncoder().fit_transform(np.stack([table.column(n).to_numpy(False).astype(object) for n in columns], axis=1))
    found = learned(table, features=columns, categories=columns)
    assert (tensor(found, table, columns) == theirs + 1).all()
    assert found.categories("city") == 7
    as_target = learned(table, features="far", target="city")
    assert (tensor(as_target, table, ["city"])[:, 0] == theirs[:, 0]).all()
    assert as_target.categories("city") == 6


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int16(), pa.string())])
def test_text_is_text_however_it_is_stored(kind: pa.DataType) -> None:
    table = mixed()
    plain = learned(table, features="city", categories="city")
    stored = pa.table({"city": table.column("city").cast(kind)})
    assert learned(stored, categories="city").columns["city"].vocabulary == plain.columns["city"].vocabulary
    assert (tensor(plain, stored, ["city"]) == tensor(plain, table, ["city"])).all()


def test_lists_are_scaled_element_by_element() -> None:
    table = mixed()
    theirs = StandardScaler().fit_transform(
        table.column("image").combine_chunks().flatten().to_numpy().reshape(-1, 3).astype(float)
    )
    found = tensor(learned(table, features="image", scale="standardize"), table, ["image"])
    np.testing.assert_allclose(found, theirs, rtol=1e-9, atol=1e-12)


def test_only_training_rows_are_learned_from() -> None:
    table, training = mixed(), np.arange(ROWS) % 3 != 0
    said = {"features": [*NUMBERS, "city"], "scale": "standardize", "categories": "city"}
    kept = table.filter(pa.array(training))
    assert_same_statistics(learned(table, training=training, **said), learned(kept, rows=ROWS, **said))
    assert learned(table, training=training, **said) != learned(table, **said)


def test_rows_that_are_dropped_are_not_learned_from() -> None:
    table = mixed(gaps=True)
    whole = table.select(NUMBERS).drop_null()
    said = {"features": NUMBERS, "fill": "drop", "scale": "minmax"}
    assert_same_statistics(learned(table, **said), learned(whole, rows=ROWS, **said))


def assert_same_statistics(found: object, other: object) -> None:
    for name, column in found.columns.items():  # type: ignore[attr-defined]
        same = other.columns[name]  # type: ignore[attr-defined]
        assert column.vocabulary == same.vocabulary
        if column.factor is not None:
            assert column.factor == pytest.approx(same.factor, rel=1e-10)
            assert column.shift == pytest.approx(same.shift, rel=1e-10)


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


@pytest.mark.parametrize(
    ("values", "said", "what"),
    [
        ([1.0, float("inf"), float("-inf")], {"scale": "minmax"}, "column `x` has 2 infinite values, the first in row 1"),
        ([1.0, 2.0, float("nan")], {"scale": "minmax"}, "column `x` has 1 value that is NaN, in row 2"),
        ([1.0, float("inf")], {"fill": "mean"}, "column `x` has 1 infinite value, in row 1"),
        ([None, None], {"fill": "median"}, "column `x` has no value in any training row, and so no median"),
        ([1e300, -1e300], {"scale": "standardize"}, "column `x` holds values too large to be scaled"),
    ],
)
def test_nothing_is_learned_from_what_is_no_number(values: list[float | None], said: dict[str, object], what: str) -> None:
    with pytest.raises(DataError) as error:
        learned(pa.table({"x": pa.array(values, pa.float64())}), **said)
    assert what in error.value.what


def test_bad_rows_that_are_skipped_are_not_learned_from() -> None:
    table = pa.table({"x": [1.0, float("inf"), 3.0, None], "y": [1.0, 100.0, 2.0, 100.0], "t": ["a", "b", None, "a"]})
    found = learned(table, features=("x", "y"), target="t", scale="minmax", skip_bad=True)
    assert found.columns["x"].shift == (1.0,)
    assert found.columns["y"].factor == (1.0,)
    assert found.columns["t"].vocabulary == ("a",)


def test_too_many_categories_are_an_error_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdist.data.learned.counts.MOST_CATEGORIES", 5)
    with pytest.raises(DataError, match="column `city` has more than") as error:
        learned(mixed(), categories="city")
    assert "leave it out" in (error.value.help or "")


def test_a_value_to_fill_with_joins_the_vocabulary() -> None:
    table = pa.table({"c": ["b", None, "a"]})
    found = learned(table, fill={"c": "nowhere"}, categories="c", indicators=True)
    assert tensor(found, table, ["c"]).tolist() == [[2, 0], [3, 1], [1, 0]]
    assert tensor(learned(table, fill="most_frequent", categories="c"), table, ["c"]).tolist() == [[2], [1], [1]]
    with pytest.raises(DataError, match="cannot be filled with 5"):
        learned(table, fill={"c": 5}, categories="c")


def test_data_without_a_row_has_nothing_to_be_learned_from() -> None:
    empty = pa.table({"x": pa.array([], pa.float32())})
    with pytest.raises(DataError, match="no training row is there"):
        learned(empty, scale="minmax")
    with pytest.raises(DataError, match="no training row is left"):
        learned(pa.table({"x": pa.array([1.0])}), training=np.array([False]), scale="minmax")


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
