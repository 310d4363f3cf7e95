"""``gdist data``: what is there, as a report and as JSON, on every format; and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import gdist as package
from tests.cli.command import Gdist

ROWS = 600
SOURCES = ("Parquet", "Arrow", "CSV", "JSONLines")

REPORT = """\
people/: 2 files of parquet, 600 rows in 4 row groups, SIZE
    people/0.parquet
    people/1.parquet

column              type          missing     distinct      suggestion
user_id             int64         -           600           leave out
    an id; 0 to 599; mean 299.5, deviation 173.2; such as 0, 1, 2
age                 int64         11 %        73            scale, fill
    17 to 89; mean 52.21, deviation 21.29; such as 18, 19, 20
color               string        -           3             categorical
    red 50 %, blue 33 %, green 17 %
x_0 .. x_3          float32       -                         number
    4 columns; -1 to 1
label               int64         -           2             target
    0 to 1; mean 0.5, deviation 0.5; 0 50 %, 1 50 %

for a job:
    data=Parquet(path="people/", target="label", features=["age", "color",
        "x_*"], categories="color", scale="standardize", fill="median")
"""


def people(rows: int = ROWS) -> pa.Table:
    numbers = np.arange(rows)
    return pa.table(
        {
            "user_id": numbers,
            "age": pa.array([None if i % 9 == 0 else 17 + i % 73 for i in range(rows)], pa.int64()),
            "color": [("red", "blue", "red", "green", "red", "blue")[i % 6] for i in range(rows)],
            **{f"x_{j}": np.cos(numbers * (j + 1)).astype(np.float32) for j in range(4)},
            "label": numbers % 2,
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people").mkdir()
    for number in range(2):
        part = people().slice(number * ROWS // 2, ROWS // 2)
        pq.write_table(part, tmp_path / "people" / f"{number}.parquet", row_group_size=200)
    return tmp_path


def write(path: Path, table: pa.Table) -> None:
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        pyarrow.feather.write_feather(table, str(path), chunksize=100)


def test_a_folder_of_parquet_is_told_in_80_columns(gdist: Gdist, folder: Path) -> None:
    ended = gdist("data", "people/", cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    first, _, rest = ended.stdout.partition("\n")
    assert [first.rpartition(", ")[0], rest] == [REPORT.partition(", SIZE\n")[0], REPORT.partition("\n")[2]]
    assert max(map(len, ended.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", ["people.arrow", "people.csv", "people.jsonl"])
def test_every_format_says_the_same(gdist: Gdist, folder: Path, name: str) -> None:
    write(folder / name, people())
    parquet, other = (json.loads(gdist("data", path, "--json", cwd=folder).stdout) for path in ("people/", name))
    assert (other["rows"], other["bad_rows"]["count"]) == (ROWS, 0)
    for one, same in zip(parquet["columns"], other["columns"], strict=True):
        for key in one.keys() - {"type", "examples"}:
            close = isinstance(one[key], float)
            assert same[key] == (pytest.approx(one[key], rel=1e-6, abs=1e-9) if close else one[key]), (one["name"], key)


@pytest.mark.parametrize("name", ["people/", "people.arrow", "people.csv", "people.jsonl"])
def test_the_line_for_a_job_opens_the_data(gdist: Gdist, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name != "people/":
        write(folder / name, people())
    line = json.loads(gdist("data", name, "--json", cwd=folder).stdout)["data"]
    monkeypatch.chdir(folder)
    rows = eval(line.removeprefix("data="), {kind: getattr(package, kind) for kind in SOURCES}).open()
    assert len(rows) == ROWS


def test_quick_reads_no_rows(gdist: Gdist, folder: Path) -> None:
    path = folder / "people" / "1.parquet"
    data = bytearray(path.read_bytes())
    data[4:100] = bytes(96)  # damaged, where --quick does not look
    path.write_bytes(data)
    ended = gdist("data", "people/", "--quick", cwd=folder)
    assert ended.returncode == 0
    assert "age                 int64         11 %\n    17 to 89\n" in ended.stdout
    found = json.loads(gdist("data", "people/", "--quick", "--json", cwd=folder).stdout)
    assert [(c["name"], c["nulls"], c["min"], c["max"]) for c in found["columns"][:2]] == [
        ("user_id", 0, 0, 599),
        ("age", 67, 17, 89),
    ]
    assert found["data"] is None
    assert "a data file is damaged" in gdist("data", "people/", cwd=folder).stderr


def test_words_say_how_csv_is_read(gdist: Gdist, folder: Path) -> None:
    (folder / "a.csv").write_text("1;2,5;x\n2;-;y\n")
    words = ("delimiter=;", "decimal=,", "names=a,b,c", "null_words=-,?", "types.a=float32")
    found = json.loads(gdist("data", "a.csv", *words, "--json", cwd=folder).stdout)
    assert [(c["name"], c["type"], c["nulls"]) for c in found["columns"]] == [
        ("a", "float32", 0),
        ("b", "float64", 1),
        ("c", "string", 0),
    ]
    assert 'names=["a", "b", "c"], null_words=["-", "?"], decimal=","' in found["data"]


def test_bad_rows_are_counted_and_the_first_is_named(gdist: Gdist, folder: Path) -> None:
    (folder / "a.csv").write_text("a,b\n1,x\n2\n3,y,z\n4,x\n")
    ended = gdist("data", "a.csv", cwd=folder)
    assert ended.returncode == 0
    assert "warning: 2 bad rows; the first is a.csv, row 1: 1 field, but there are 2 columns\n" in ended.stdout


def test_text_files_are_a_corpus(gdist: Gdist, folder: Path) -> None:
    (folder / "books").mkdir()
    (folder / "books" / "a.txt").write_text("Call me Ishmael.")
    assert (
        gdist("data", "books", cwd=folder).stdout == 'books: 1 file of text, 16 B\n\nfor a job:\n    data=Text(path="books")\n'
    )


def test_an_empty_file_is_told_as_empty(gdist: Gdist, folder: Path) -> None:
    pq.write_table(people(0), folder / "empty.parquet")
    ended = gdist("data", "empty.parquet", cwd=folder)
    assert ended.returncode == 0
    assert "0 rows in 0 row groups" in ended.stdout.splitlines()[0] or "0 rows in 1 row group" in ended.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "error: which data?"),
        (("peple",), "did you mean `people`?"),
        (("people", "a.csv"), "error: files of 2 formats: 2 of parquet, 1 of csv"),
        (("a.csv", "delimeter=;"), "help: did you mean `delimiter`?"),
        (("a.csv", "delimiter=xx"), "command line: delimiter=xx"),
        (("a.csv", "--format", "parquet"), "not a whole Parquet file"),
        (("a.csv", "--format", "excel"), "'excel'"),
    ],
)
def test_wrong_words_are_answered(gdist: Gdist, folder: Path, words: tuple[str, ...], message: str) -> None:
    (folder / "a.csv").write_text("a,b\n1,2\n")
    ended = gdist("data", *words, cwd=folder)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert ended.stdout == ""


def test_help_fits_80_columns(gdist: Gdist, folder: Path) -> None:
    ended = gdist("data", "--help", cwd=folder)
    assert ended.stdout.startswith("  gdist data train.parquet")
    assert max(map(len, ended.stdout.splitlines())) <= 80
