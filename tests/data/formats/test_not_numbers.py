"""A column of numbers that is text for a few words in it: the words are told, not the column's type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdist.data import CSV, JSONLines
from gdist.errors import DataError


def csv(path: Path, words: dict[int, str], *, rows: int = 100) -> Path:
    lines = [f"{words.get(row, row / 7)},{row % 2}" for row in range(rows)]
    path.write_text("z,label\n" + "\n".join(lines) + "\n")
    return path


def test_one_word_among_numbers_is_told_with_its_line(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", {42: "hello"})
    with pytest.raises(DataError, match="`z` holds text, not numbers: 1 of 100 values is no number: 'hello'") as caught:
        CSV(path=path, target="label").open()
    assert caught.value.where == f"{path}, line 44 (row 42)"
    assert caught.value.help is not None
    assert len(CSV(path=path, target="label", types={"z": "float64"}, on_bad_rows="skip").open()) == 100


def test_several_words_are_counted_and_missing_values_are_none(tmp_path: Path) -> None:
    csv(tmp_path / "a.csv", {})
    csv(tmp_path / "b.csv", {3: "NA", 5: "x" * 50, 6: "y"})
    with pytest.raises(DataError, match=r"2 of 199 values are no numbers, the first 'x{40}\.\.\.'") as caught:
        CSV(path=tmp_path, target="label", scale={"z": "standardize"}).open()
    assert caught.value.where == f"{tmp_path / 'b.csv'}, line 7 (row 5)"


def test_a_column_of_words_is_for_categories(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", {row: "ab"[row % 2] for row in range(60)})
    with pytest.raises(DataError, match="turn its values into codes"):
        CSV(path=path, target="label").open()
    assert len(CSV(path=path, target="label", categories="z").open()) == 100


def test_numbers_after_a_word_in_json_lines(tmp_path: Path) -> None:
    values = ["one", 2.5, None, 3, 4.0]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"z": value, "label": 0}) + "\n" for value in values))
    with pytest.raises(DataError, match="1 of 4 values is no number: 'one'") as caught:
        JSONLines(path=path, target="label").open()
    assert caught.value.where == f"{path}, line 1 (row 0)"
