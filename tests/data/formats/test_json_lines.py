"""JSON lines through its reader: one object a line, every bad line by its file, line, row and column."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gdist.data.formats import json_lines
from gdist.data.formats.file_set import open_readers
from gdist.data.formats.json_lines import JsonLinesReader
from gdist.data.formats.options import JsonLinesOptions
from tests.data.formats.stored import read_all, refused, stored, survives_every_cut


def opened(file: Path, content: bytes, **options: Any) -> JsonLinesReader:
    file.write_bytes(content)
    return json_lines.open_reader(stored(file), options=JsonLinesOptions(**options))


def rows(file: Path, content: bytes, **options: Any) -> dict[str, list[Any]]:
    opened(file, content, **options)
    return read_all(file, json_lines, options=JsonLinesOptions(**options)).to_pydict()


def message(file: Path, content: bytes, **options: Any) -> str:
    def read() -> None:
        reader = opened(file, content, **options)
        for group in range(len(reader.groups)):
            reader.read(group, reader.schema.names)

    found = refused(read)
    assert found is not None, "nothing was refused"
    return found.replace(str(file), "FILE")


def lines(*values: Any) -> bytes:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


@pytest.mark.parametrize(
    "content", [b'{"a": 1}\n{"a": 2}\n', b'\xef\xbb\xbf{"a": 1}\r\n\r\n {"a": 2} \r\n', b'{"a":1}\n \n{"a":2}']
)
def test_line_ends_marks_and_blank_lines_change_nothing(file: Path, content: bytes) -> None:
    assert rows(file, content) == {"a": [1, 2]}
    assert json_lines.open_reader(stored(file)).rows == 2


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n\n", b"\xef\xbb\xbf"])
def test_empty_files_have_no_rows(file: Path, content: bytes) -> None:
    assert opened(file, content).groups == []


def test_blocks_are_cut_at_line_ends_and_read_alone(file: Path, small_blocks: int) -> None:
    values = [{"n": i, "s": f"text\n{i} é", "list": [i, i / 2], "inner": {"x": i}, "other": None} for i in range(300)]
    reader = pickle.loads(pickle.dumps(opened(file, lines(*values))))
    assert len(reader.groups) > 50
    assert reader.schema.field("list").type == pa.list_(pa.float64(), 2)
    found = pa.concat_tables(reader.read(group, ["list", "s", "n", "inner"]).table for group in range(len(reader.groups)))
    assert found.to_pylist() == [{name: value[name] for name in ("list", "s", "n", "inner")} for value in values]


def test_missing_keys_and_nulls_are_null(file: Path) -> None:
    assert rows(file, lines({"a": 1}, {"b": "x"}, {"a": None})) == {"a": [1, None, None], "b": [None, "x", None]}


def test_lists_of_one_length_are_fixed_and_nested_ones_too(file: Path) -> None:
    content = lines({"a": [[1, 2], [3, 4]], "b": [1]}, {"a": [[5, 6], [7, 8]], "b": []})
    schema = opened(file, content).schema
    assert schema.field("a").type == pa.list_(pa.list_(pa.int64(), 2), 2)
    assert schema.field("b").type == pa.list_(pa.int64())
    assert rows(file, content)["a"][1] == [[5, 6], [7, 8]]


def test_types_are_settled_for_all_files(tmp_path: Path) -> None:
    contents = {"0": b"", "1": lines({"a": 1}), "2": lines({"a": 2, "b": 1}), "3": lines({"a": 2.5, "b": "x"})}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    readers = open_readers("json_lines", [stored(tmp_path / name) for name in contents])
    assert [reader.schema.names for reader in readers] == [["a", "b"]] * 4
    assert readers[1].read(0, ["a", "b"]).table.to_pydict() == {"a": [1.0], "b": [None]}


def test_types_as_the_user_says(file: Path) -> None:
    content = lines({"a": 1, "kind": "x", "day": "2024-02-03"})
    schema = opened(file, content, types={"a": "float32", "kind": "category", "day": "date32"}).schema
    assert [str(kind)[:10] for kind in schema.types] == ["float", "dictionary", "date32[day"]
    assert rows(file, content, types={"kind": "category"})["kind"] == ["x"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"a": 1', "not JSON: Expecting ',' delimiter at character 8"),
        (b'{"a" 1}', "not JSON: Expecting ':' delimiter at character 6"),
        (b"null", "null, not an object"),
        (b"[1]", "a list, not an object"),
        (b"7", "a number, not an object"),
        (b'{"a": 1} {"a": 2}', "not JSON: Extra data at character 10"),
        (b'{"a": "x"}', 'column `a` holds "x", not int64'),
        (b'{"a": 1.5}', "column `a` holds 1.5, not int64"),
        (b'{"a": 99999999999999999999}', "column `a` holds 99999999999999999999, not int64"),
        (b'{"a": 1, "b": [1]}', "column `b` holds [1], not fixed_size_list<item: int64>[2]"),
        (b'{"a": 1, "s": "\xff"}', "byte 0xff is not UTF-8"),
        (b'{"a": 1, "a": 2}', "column `a` holds 2, not int64"),
        (b"\x00", "not JSON: Expecting value at character 1"),
    ],
)
def test_a_bad_line_names_file_line_row_and_column(file: Path, line: bytes, what: str) -> None:
    good = b'{"a": 3, "s": "x", "b": [1, 2]}\n'
    kinds = opened(file, good).stored
    file.write_bytes(good * 5 + b"\n" + line + b"\n" + good * 5)
    reader = json_lines.open_reader(stored(file), kinds=kinds)
    found = str(refused(lambda: reader.read(0, ["a", "s", "b"])))
    assert found.startswith(f"{what}\n  --> {file}, line 7 (row 5)\nnote: it reads: ")
    read = reader.read(0, ["a", "s", "b"], skip_bad=True)
    assert (read.rows.tolist(), read.bad) == ([0, 1, 2, 3, 4, 6, 7, 8, 9, 10], {5: what})
    assert read.table.column("a").to_pylist() == [3] * 10


def test_the_process_survives_nulls_alone_and_endless_lists(file: Path) -> None:
    assert message(file, b"null\n").startswith("null, not an object\n  --> FILE, line 1 (row 0)")
    assert "levels deep" in message(file, b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")


def test_an_array_of_objects_is_refused_with_the_mend(file: Path) -> None:
    assert message(file, b'[{"a": 1},\n {"a": 2}]\n') == (
        "this is one JSON array, not JSON lines\n  --> FILE\nhelp: write one object a line: jq -c '.[]' IN.json > OUT.jsonl"
    )


def test_a_file_cut_or_damaged_anywhere_is_read_or_a_data_error(file: Path, small_blocks: int) -> None:
    file.write_bytes(lines(*({"n": i, "s": f"é {i}", "list": [i, 2], "inner": {"x": None}} for i in range(30))))
    survives_every_cut(file, json_lines, every=31)
