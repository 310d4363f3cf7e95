"""What is learned of which column follows from the schema and the job's words; words that cannot act are errors."""

import pyarrow as pa
import pytest

from gdist.data.learned import Recipe
from gdist.errors import DataError

SCHEMA = pa.schema(
    {
        "age": pa.float32(),
        "income": pa.int64(),
        "city": pa.string(),
        "job": pa.dictionary(pa.int8(), pa.string()),
        "pixels": pa.list_(pa.float32(), 4),
        "weight": pa.float32(),
        "label": pa.large_string(),
    }
)


def recipe(**said: object) -> Recipe:
    said = {"categories": ("city", "job"), **said}
    return Recipe.of(SCHEMA, target="label", extra={"weight": "weight"}, where="t.parquet", **said)  # type: ignore[arg-type]


def test_numbers_without_a_word_have_nothing_to_be_learned() -> None:
    found = Recipe.of(SCHEMA, features=("age", "pixels"), target="income")
    assert found.empty
    assert not found.rules
    assert found.columns == ()


def test_columns_are_categories_where_they_are_named_so_and_a_target_of_text_always() -> None:
    found = recipe()
    assert {name for name in SCHEMA.names if found.is_category(name)} == {"city", "job", "label"}
    assert {name for name, rule in found.rules.items() if rule.target} == {"label"}
    assert not found.empty

    assert recipe(categories="income").is_category("income")
    assert not recipe(categories="income").is_category("city")


def test_one_word_is_for_the_features_and_passes_over_categories() -> None:
    found = recipe(scale="standardize", fill="median")
    assert {name for name, rule in found.rules.items() if rule.scale} == {"age", "income", "pixels"}
    assert {name for name, rule in found.rules.items() if rule.fill} == {"age", "income", "pixels"}
    assert found.rules["pixels"].width == 4


def test_drop_is_for_every_column_used() -> None:
    assert {name for name, rule in recipe(fill="drop").rules.items() if rule.fill == "drop"} == set(SCHEMA.names)


def test_a_dict_says_it_by_pattern_and_the_last_that_fits_counts() -> None:
    found = recipe(scale={"*": "minmax", "age": "standardize"}, fill={"[ai]*": "mean", "income": 0, "city": "nowhere"})
    assert {name: rule.scale for name, rule in found.rules.items() if rule.scale} == {
        "age": "standardize", "income": "minmax", "pixels": "minmax", "weight": "minmax",
    }  # fmt: skip
    assert {name: (rule.fill, rule.value) for name, rule in found.rules.items() if rule.fill} == {
        "age": ("mean", None), "income": ("value", 0), "city": ("value", "nowhere"),
    }  # fmt: skip


def test_filled_columns_have_indicators_on_demand() -> None:
    found = recipe(fill={"age": "mean", "city": "most_frequent", "income": "drop"}, indicators=True)
    assert found.indicators(["income", "city", "age", "pixels"]) == ("city", "age")
    assert recipe(fill={"age": "mean"}).indicators(["age"]) == ()


def test_given_values_and_dropped_rows_need_no_pass() -> None:
    found = Recipe.of(SCHEMA, features=("age", "income"), fill={"age": 0.5, "income": "drop"})
    assert found.empty
    assert found.rules


def test_the_fingerprint_follows_what_is_asked_for() -> None:
    assert recipe().fingerprint() == recipe().fingerprint()
    assert recipe().fingerprint() != recipe(scale="minmax").fingerprint()


@pytest.mark.parametrize(
    ("said", "what", "mend"),
    [
        ({"scale": {"aeg": "minmax"}}, "no column `aeg`", "did you mean `age`"),
        ({"scale": {"city": "minmax"}}, "cannot act: `city` is a category", ""),
        ({"scale": {"age": "minmx"}}, "the words are 'standardize', 'minmax'", ""),
        ({"fill": "meen"}, "`fill`='meen' is no word", "did you mean 'mean'"),
        ({"fill": {"age": "meen"}}, "`age` holds numbers; the words are 'mean'", ""),
        ({"fill": {"*": "meen"}}, "`age` holds numbers; the words are 'mean'", ""),
        ({"fill": {"city": "mean"}}, "`city` is a category, which has no mean", ""),
        ({"fill": {"age": float("nan")}}, "the value must be finite", ""),
        (
            {"features": "city", "categories": "city", "scale": "minmax"},
            "`scale`='minmax' cannot act: `city` is a category",
            "",
        ),
        ({"indicators": True}, "`indicators` cannot act: no column is filled", "set fill="),
        ({"indicators": True, "fill": "drop"}, "`indicators` cannot act", ""),
        ({"categories": "pixels"}, "column `pixels` holds lists of categories", ""),
        ({"categories": (), "scale": {"city": "minmax"}}, "`city` holds no numbers, and `categories` does not name it", ""),
        ({"features": ("age", "label"), "categories": ()}, "the category `label` is the target and another tensor at once", ""),
    ],
)
def test_a_word_that_cannot_act_is_an_error(said: dict[str, object], what: str, mend: str) -> None:
    with pytest.raises(DataError) as error:
        recipe(**said)
    assert what in error.value.what
    assert mend in (error.value.help or "")
    assert error.value.where == "t.parquet"
