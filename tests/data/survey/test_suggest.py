"""What is suggested for a column, and the line for a job."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest

from gdist.data.survey.lines import data_line, remarks, split_line
from gdist.data.survey.suggest import suggest
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
        ("digit", [0, 4, 9, 3, 8] * 9, "class"),
        ("stars", [1, 2, 3, 4, 5] * 9, "class"),
        ("year", [2001, 2002, 2003] * 9, "scale"),
        ("user_id", list(range(50)) * 2, "leave out"),
        ("part", ["train", "val", "Test"] * 9, "split"),
        ("part", ["train"] * 9 + ["red"], "categorical"),
        ("part", ["val", "test"] * 9, "categorical"),
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


def png(width: int, height: int) -> bytes:
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.new("RGB", (width, height)).save(out, "PNG")
    return out.getvalue()


def test_images_are_features_alone_of_the_first_ones_shape() -> None:
    columns = summaries(picture=[png(8, 6)] * 40, size=[50.5, 20.0] * 20, digit=[0, 1, 2, 3] * 10)
    roles = suggest(columns)
    expected = 'data=Parquet(path="a", target="digit", features="picture", shape=(3, 6, 8))'
    assert data_line("a", "parquet", columns, roles) == expected
    assert remarks(columns, roles) == ["images are features alone; left out: `size`"]


def test_images_of_which_no_shape_is_known_are_named_in_a_remark() -> None:
    columns = summaries(picture=[b"\x89PNG...."] * 40, x=[0.5, 0.25] * 20, label=[0, 1, 2, 3] * 10)
    roles = suggest(columns)
    assert data_line("a", "parquet", columns, roles) == 'data=Parquet(path="a", target="label", features="x")'
    assert "shape=(channels, height, width)" in remarks(columns, roles)[0]


def test_what_may_be_classes_is_not_scaled() -> None:
    columns = summaries(age=[20, 30, 41, 50] * 10, stars=[1, 2, 3, 4] * 10, label=[0, 1] * 20)
    assert 'scale={"age": "standardize"}' in data_line("a", "parquet", columns, suggest(columns))


def test_a_pattern_passes_over_the_target() -> None:
    columns = summaries(x_1=[0.5, 0.25] * 5, x_2=[0.5, 0.75] * 5, blob=[b"x"] * 10, x_label=[0, 1] * 5)
    assert 'target="x_label", features="x_*"' in data_line("a", "arrow", columns, suggest(columns))


def test_a_column_that_says_what_rows_are_for_splits() -> None:
    columns = summaries(x=[0.5, 0.25] * 6, fold=["train", "train", "val", "dev"] * 3, y=[0, 1] * 6)
    roles = suggest(columns)
    assert data_line("a", "arrow", columns, roles) == 'data=Arrow(path="a", target="y", features="x")'
    assert split_line(columns, roles) == 'validation=Split(column="fold", validation=["dev", "val"])'
    assert split_line(columns, {}) is None
