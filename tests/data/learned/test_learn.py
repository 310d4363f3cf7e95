"""What is learned is what scikit-learn and NumPy find in float64; what cannot be learned from is an error that says where."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OrdinalEncoder, StandardScaler

from gdist.errors import DataError
from tests.data.learned.tables import NUMBERS, ROWS, learned, mixed, tensor


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
