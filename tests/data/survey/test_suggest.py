"""What is suggested for a column, and the line for a job."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from gdist.data.survey.suggest import data_line, suggest
from gdist.data.survey.summary import Summary, summarize


def summaries(**columns: Any) -> dict[str, Summary]:
    return {name: summarize(pa.chunked_array([pa.array(values)])) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("x", [0.5, -1.0, 0.25] * 9, "number"),
        ("x", [50.5, 20.0, 0.25] * 9, "scale"),
        ("x", [0, 1, 1] * 9, "number"),
        ("x", [True, False] * 9, "number"),
        ("user_id", [7, 3, 12, 30], "leave out"),
        ("n", list(range(100)), "leave out"),
        ("n", [1] * 9, "leave out"),
        ("n", [None] * 9, "leave out"),
        ("color", ["red", "blue", "red"] * 9, "categorical"),
        ("name", [f"name {i}" for i in range(20)], "leave out"),
        ("note", [f"a text of several words, which is longer than a word {i}" for i in range(3)], "text"),
        ("picture", [b"\x89PNG....", b"\x89PNG...."], "image"),
        ("picture", [{"bytes": b"\xff\xd8\xff\xe0", "path": "a.jpg"}], "image"),
        ("blob", [b"abc"], "leave out"),
        ("pixels", [[0.1, 0.5], [0.7, -0.5]], "number"),
        ("words", [[0.1, 0.5], [0.7]], "leave out"),
        ("day", pa.array([1, 2], pa.date32()), "leave out"),
        ("inner", [{"a": 1}], "leave out"),
    ],
)
def test_a_column_is_what_its_values_and_its_name_say(name: str, values: Any, role: str) -> None:
    assert suggest(summaries(**{name: values}))[name].role == role


def test_the_target_is_known_by_its_name_else_it_may_be_the_last() -> None:
    labels = ["a", "b"] * 5
    numbers = [0.1 * i for i in range(10)]
    assert suggest(summaries(label=labels, x=numbers))["label"].role == "target"
    assert suggest(summaries(x=numbers, kind=labels))["kind"] == ("target", "the last column, few values")
    assert suggest(summaries(kind=labels, x=[i / 7 for i in range(1000)]))["kind"].role == "categorical"


def test_the_line_names_what_differs_from_the_rule() -> None:
    columns = summaries(**{f"x_{i}": [0.5, -1.0] * 5 for i in range(3)}, y=["a", "b"] * 5)
    assert data_line("a.parquet", "parquet", columns, suggest(columns)) == 'data=Parquet(path="a.parquet", target="y")'


def test_the_line_says_features_categories_scale_and_fill() -> None:
    columns = summaries(
        row_id=range(10),
        x_1=[0.5, None] * 5,
        x_2=[50.0, 20.0] * 5,
        color=["red", "blue"] * 5,
        label=[0, 1] * 5,
    )
    assert data_line(["a.csv", "b.csv"], "csv", columns, suggest(columns), delimiter=";") == (
        'data=CSV(path=["a.csv", "b.csv"], target="label", features=["x_*", "color"], categories="color", '
        'scale="standardize", fill="median", delimiter=";")'
    )


def test_a_pattern_stands_only_for_columns_that_are_all_used() -> None:
    columns = summaries(x_1=[0.5, 0.25] * 5, x_2=[0.5, 0.75] * 5, x_name=[b"x"] * 10, y=[0, 1] * 5)
    assert 'features=["x_1", "x_2"]' in data_line("a", "arrow", columns, suggest(columns))


def test_a_table_of_text_alone_is_a_corpus() -> None:
    columns = summaries(text=[f"a text of several words, longer than a word, of row {i}" for i in range(2)])
    assert data_line("a.parquet", "parquet", columns, suggest(columns)) == 'data=Text(path="a.parquet", column="text")'
