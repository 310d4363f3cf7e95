"""CSV through its reader: blocks of whole records, types settled once, every bad row by its file, line, row and column."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

from gdist.data.formats import csv
from gdist.data.formats.csv import CsvReader
from gdist.data.formats.file_set import open_readers
from gdist.data.formats.options import CsvOptions
from gdist.errors import JobError
from tests.data.formats.stored import read_all, refused, stored, survives_every_cut


def opened(file: Path, content: bytes, **options: Any) -> CsvReader:
    file.write_bytes(content)
    return csv.open_reader(stored(file), options=CsvOptions(**options))


def rows(file: Path, content: bytes, **options: Any) -> dict[str, list[Any]]:
    opened(file, content)
    return read_all(file, csv, options=CsvOptions(**options)).to_pydict()


def message(file: Path, content: bytes, columns: list[str] | None = None, **options: Any) -> str:
    def read() -> None:
        reader = opened(file, content, **options)
        for group in range(len(reader.groups)):
            reader.read(group, columns or reader.schema.names)

    found = refused(read)
    assert found is not None, "nothing was refused"
    return found.replace(str(file), "FILE")


@pytest.mark.parametrize(
    "content", [b"a,b\n1,x\n2,y\n", b"a,b\r\n1,x\r\n2,y\r\n", b"a,b\n1,x\n2,y", b"\xef\xbb\xbfa,b\n\n1,x\n\n2,y\n\n"]
)
def test_line_ends_marks_and_blank_lines_change_nothing(file: Path, content: bytes) -> None:
    assert rows(file, content) == {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"a,b", b"a,b\n", b'"a","b"\r\n\r\n'])
def test_empty_files_and_lines_of_names_alone_have_no_rows(file: Path, content: bytes) -> None:
    reader = opened(file, content)
    assert (reader.groups, reader.rows) == ([], 0)
    assert reader.schema.names == (["a", "b"] if b"a" in content else [])


def test_blocks_are_cut_at_ends_of_records(file: Path, small_blocks: int) -> None:
    lines = [f'{i},"line one\nand ""two"" of {i}",{i / 8}\n' for i in range(200)]
    reader = opened(file, ("n,text,x\n" + "".join(lines)).encode())
    assert len(reader.groups) > 20
    assert sum(group.stored_bytes for group in reader.groups) == sum(map(len, lines))
    assert max(group.stored_bytes for group in reader.groups) <= small_blocks
    found = pa.concat_tables(reader.read(group, ["x", "text", "n"]).table for group in range(len(reader.groups)))
    assert found.column_names == ["x", "text", "n"]
    assert found.column("n").to_pylist() == list(range(200))
    assert found.column("text")[17].as_py() == 'line one\nand "two" of 17'
    assert reader.bytes_read == sum(map(len, lines))


def test_a_record_longer_than_a_block_is_a_block(file: Path, small_blocks: int) -> None:
    content = "a,b\n" + "1,x\n" * 50 + "2," + "y" * 5000 + "\n" + "3,z\n" * 50
    assert rows(file, content.encode())["a"] == [1] * 50 + [2] + [3] * 50


def test_the_blocks_are_found_once(file: Path, small_blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"a,b\n" + b"1,x\n" * 500
    groups = opened(file, content).groups
    monkeypatch.setattr("gdist.data.formats.blocks.count_records", None)
    assert csv.open_reader(stored(file)).groups == groups
    with file.open("ab") as more:
        more.write(b"1,x\n")
    with pytest.raises(TypeError):
        csv.open_reader(stored(file))


def test_values_are_those_of_pyarrows_own_reader(file: Path, small_blocks: int) -> None:
    text = io.BytesIO()
    table = pa.table(
        {"i": range(1000), "f": [i / 7 for i in range(1000)], "s": [f'"{i}", {"é" * (i % 4)}\r\n' for i in range(1000)]}
    )
    pa.csv.write_csv(table, text)
    reader = opened(file, text.getvalue())
    own = pa.csv.read_csv(file, parse_options=pa.csv.ParseOptions(newlines_in_values=True))
    assert reader.schema == own.schema
    assert pa.concat_tables(reader.read(group, own.column_names).table for group in range(len(reader.groups))).equals(own)


def test_threads_and_other_processes_read_at_once(file: Path, small_blocks: int) -> None:
    reader = pickle.loads(pickle.dumps(opened(file, b"a,b\n" + b"".join(b"%d,x\n" % i for i in range(2000)))))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda group: reader.read(group, ["a"]).table, range(len(reader.groups))))
    assert pa.concat_tables(found).column("a").to_pylist() == list(range(2000))


def test_missing_values_are_null_in_text_too(file: Path) -> None:
    assert rows(file, b'a,b\n1,\n,x\nNA,""\n') == {"a": [1, None, None], "b": [None, "x", ""]}
    assert rows(file, b"a,b\n?,x\n2,NA\n", null_words=("?",)) == {"a": [None, 2], "b": ["x", "NA"]}


def test_marks_names_and_types_as_the_user_says(file: Path) -> None:
    content = b"1,5;'a;\n''b';x\n2,25;c;y\n"
    names = ("price", "text", "kind")
    options = {"delimiter": ";", "quote": "'", "decimal": ",", "names": names, "types": {"kind": "category", "pri*": "float32"}}
    reader = opened(file, content, **options)
    assert [str(kind) for kind in reader.schema.types[:2]] == ["float", "string"]
    assert pa.types.is_dictionary(reader.schema.field("kind").type)
    assert rows(file, content, **options) == {"price": [1.5, 2.25], "text": ["a;\n'b", "c"], "kind": ["x", "y"]}
    assert rows(file, b'a,b\n"x\\"y",2\n', escape="\\") == {"a": ['x"y'], "b": [2]}
    assert rows(file, b'a,b\n"5" pipe,"2\n', quote=None) == {"a": ['"5" pipe'], "b": ['"2']}


def test_a_quote_inside_a_value_is_a_character(file: Path, small_blocks: int) -> None:
    content = b"a,b\n" + b'5" pipe,1\n6" pipe,"2"\n"7, or\n8",3\n' * 50
    assert rows(file, content) == {"a": ['5" pipe', '6" pipe', "7, or\n8"] * 50, "b": [1, 2, 3] * 50}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "shift_jis"])
def test_other_encodings(file: Path, encoding: str) -> None:
    text = "name,n\nKöln,1\n" if encoding != "shift_jis" else "name,n\n東京,1\n"
    assert list(rows(file, text.encode(encoding), encoding=encoding)["name"]) == [text.split("\n")[1][:-2]]


def test_types_are_settled_for_all_files(tmp_path: Path, small_blocks: int) -> None:
    contents = {"0": b"", "1": b"a,b\n1,x\n", "2": b"b,a\ny,2\n", "3": b"a,b\n2.5,z\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    readers = open_readers("csv", [stored(tmp_path / name) for name in contents])
    assert [reader.schema.field("a").type for reader in readers] == [pa.float64()] * 4
    assert readers[2].read(0, ["a", "b"]).table.to_pydict() == {"a": [2.0], "b": ["y"]}


def test_types_are_those_of_first_middle_and_last_block(file: Path, small_blocks: int) -> None:
    numbers = [*("1" for _ in range(400)), *("2.5" for _ in range(400)), *("3" for _ in range(400))]
    reader = opened(file, ("a,b\n" + "".join(f"{number},\n" for number in numbers)).encode())
    assert reader.schema.types == [pa.float64(), pa.string()]


def test_a_row_of_another_length_names_its_line_and_the_mend(file: Path) -> None:
    assert message(file, b'a,b\n"1\n",x\n\n2\n3,z\n') == (
        "1 field, but there are 2 columns\n  --> FILE, line 5 (row 1)\nnote: it reads: 2\n"
        "help: a value that holds `,` or a line end must be in quotes"
    )
    assert message(file, b"a,b\n1,x\n2,y,,\n").startswith("4 fields, but there are 2 columns\n  --> FILE, line 3 (row 1)\n")


def test_a_value_of_another_type_names_column_value_and_line(file: Path, small_blocks: int) -> None:
    content = b"a,b\n" + b"1,x\n" * 100 + b"many,y\n" + b"1,x\n" * 200
    assert message(file, content) == (
        "column `a` holds 'many', not int64\n  --> FILE, line 102 (row 100)\nnote: it reads: many,y\n"
        "help: types={'a': 'string'} takes it as text; null_words are the words for a missing value"
    )
    assert refused(lambda: [opened(file, content).read(group, ["b"]) for group in range(3)]) is None


def test_bytes_of_another_encoding_name_the_byte(file: Path) -> None:
    assert message(file, b"a,b\n1,x\n2,K\xf6ln\n") == (
        "byte 0xf6 is not utf-8\n  --> FILE, line 3 (row 1)\nnote: it reads: 2,K\\xf6ln\n"
        'help: name the encoding, as in encoding="latin-1", or convert the file to UTF-8'
    )
    assert "byte 0xf6 in the line of names is not utf-8" in message(file, b"a,K\xf6ln\n1,x\n")


def test_a_quote_that_is_never_closed_is_a_bad_row(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert message(file, b'a,b\n1,x\n2,"y\n3,z\n') == (
        'a quoted value is never closed\n  --> FILE, line 3 (row 1)\nnote: it reads: 2,"y\n3,z\nhelp: is the file cut short?'
    )
    monkeypatch.setattr("gdist.data.formats.blocks.BLOCK_BYTES", 100)
    monkeypatch.setattr("gdist.data.formats.blocks.LONGEST_RECORD_BYTES", 1600)
    assert "a record of more than 0 MiB\n  --> FILE, line 2" in message(file, b'a,b\n1,"x\n' + b"2,y\n" * 1000)


def test_bad_rows_are_left_out_and_numbers_do_not_shift(file: Path, small_blocks: int) -> None:
    lines = [f"{i},{i}.5,ok" for i in range(300)]
    lines[7], lines[8], lines[150], lines[299] = "7", "x,1,ok", "150,1,\xff", '299,1,"ok'
    reader = opened(file, ("n,x,s\n" + "\n".join(lines) + "\n").encode("latin-1"), types={"n": "int64"})
    found, bad = [], {}
    for number, group in enumerate(reader.groups):
        read = reader.read(number, ["s", "n"], skip_bad=True)
        local = range(group.rows) if read.rows is None else read.rows.tolist()
        assert len(local) == read.table.num_rows
        assert [group.first_row + row for row in local] == read.table.column("n").to_pylist()
        found += read.table.column("n").to_pylist()
        bad |= {group.first_row + row: why for row, why in read.bad.items()}
    assert bad == {
        7: "1 field, but there are 3 columns",
        8: "column `n` holds 'x', not int64",
        150: "byte 0xff is not utf-8",
        299: "a quoted value is never closed",
    }
    assert found == [i for i in range(300) if i not in bad]


def test_a_group_of_bad_rows_only_is_empty(file: Path) -> None:
    reader = opened(file, b"n\nx\ny\n", types={"n": "int64"})
    read = reader.read(0, ["n"], skip_bad=True)
    assert (read.table.num_rows, read.rows.tolist(), sorted(read.bad)) == (0, [], [0, 1])
    assert read.table.schema.types == [pa.int64()]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x1f\x8b\x08\x00", "the file is packed with gzip"),
        (b"PAR1\x00", "this is a Parquet file, not text"),
        ("a,b\n1,2\n".encode("utf-16"), "the file is UTF-16 or UTF-32, not UTF-8"),
        (b"a;b\n1;2\n", "one column only, named `a;b`"),
        (b"a,b,a\n1,2,3\n", "two columns are named `a`"),
    ],
)
def test_what_is_no_such_csv_says_what_it_is(file: Path, content: bytes, what: str) -> None:
    assert message(file, content).startswith(f"{what}\n  --> FILE")


def test_options_that_cannot_be_are_refused() -> None:
    for options, words in (
        ({"delimiter": ",,"}, "must be one ASCII character"),
        ({"delimiter": '"'}, "must differ"),
        ({"encoding": "utf-9"}, "must be a text encoding"),
        ({"encoding": "utf-16"}, "must keep ASCII"),
        ({"types": {"a": "int"}}, "has an unknown type 'int' for"),
    ):
        with pytest.raises(JobError) as caught:
            CsvOptions(**options)
        assert words in str(caught.value)


def test_a_type_for_no_column_is_an_error(file: Path) -> None:
    assert message(file, b"a,b\n1,2\n", types={"c": "int64"}).startswith("`types` names `c`, which is no column\n  --> FILE")


def test_a_file_cut_or_damaged_anywhere_is_read_or_a_data_error(file: Path, small_blocks: int) -> None:
    lines = [f'{i},"a ""b"", {i}\n",{i / 8},2024-01-{i % 28 + 1:02}\n' for i in range(30)]
    file.write_text("n,s,x,day\n" + "".join(lines))
    survives_every_cut(file, csv, every=31)
