"""Categories that training read as text are text in every other file too, though it may hold nothing but digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch import nn

from gdist.data import CSV, Arrow, JSONLines, Parquet
from gdist.data.index import Index
from gdist.data.table import Table
from gdist.data.table_rows import TableRows
from gdist.engine.collective import Alone
from gdist.errors import DataError
from gdist.job import Job
from gdist.worker.learn import learn
from gdist.worker.opening import find_data

ZIPS = ["01234", "05678", "AB1"]


def lines(path: Path, zips: list[Any]) -> Path:
    """CSV, or JSON lines where the path says so."""
    rows = [{"x": i, "zip": zip, "y": i % 2} for i, zip in enumerate(zips)]
    if path.suffix == ".csv":
        path.write_text("x,zip,y\n" + "".join(f"{i},{'' if zip is None else zip},{i % 2}\n" for i, zip in enumerate(zips)))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def folders(path: Path, zips: list[str]) -> Path:
    for zip in zips:
        (path / f"zip={zip}").mkdir(parents=True)
        pq.write_table(pa.table({"x": [0.0], "y": [0]}), path / f"zip={zip}" / "p.parquet")
    return path


def table(kind: type[Table], path: Path) -> Table:
    return kind(path=str(path), features="x", extra={"zip": "zip"}, target="y", categories="zip")


def trained(source: Table) -> dict[str, Any]:
    rows = source.open()
    learned = learn(rows.training(Index.all(len(rows))), rows.recipe, Alone())
    return {"learned": json.loads(json.dumps(learned.to_json()))}


def codes(rows: Any) -> list[int]:
    found: list[int] = rows.take(np.arange(len(rows)))["zip"].tolist()
    return found


@pytest.mark.parametrize(
    ("kind", "name", "words", "others"),
    [
        (CSV, "zip.csv", ZIPS, ["05678", "01234", "99999"]),
        (CSV, "day.csv", ["2020-01-01", "2020-01-02", "soon"], ["2020-01-02", "2020-01-01", "2020-01-03"]),
        (CSV, "flag.csv", ["false", "true", "unsure"], ["true", "false", "1"]),
        (JSONLines, "day.jsonl", ["2020-01-01", "2020-01-02", "soon"], ["2020-01-02", "2020-01-01", "2020-01-03"]),
        (JSONLines, "none.jsonl", ["a", "b", "c"], [None, None, None]),
    ],
)
def test_a_file_that_leaves_types_open_is_read_as_training_read_its_own(
    kind: type[Table], name: str, words: list[Any], others: list[Any], tmp_path: Path
) -> None:
    source = table(kind, lines(tmp_path / name, words))
    there = table(kind, lines(tmp_path / f"other-{name}", others))
    expected = [words.index(each) + 1 if each in words else 0 for each in others]
    state = trained(source)
    opened = there.open(text=("zip",))
    assert opened.schema.field("zip").type == pa.string()
    assert codes(opened.with_state(state)) == expected

    job = Job(model=nn.Identity, loss="mse", data=source, validation=kind(path=str(tmp_path / f"other-{name}")))
    assert codes(find_data(job).with_state(state).others["validation"]) == expected


def test_state_alone_says_what_is_text(tmp_path: Path) -> None:
    state = trained(table(CSV, lines(tmp_path / "a.csv", ZIPS)))
    opened = table(CSV, lines(tmp_path / "b.csv", ZIPS[1::-1])).open()
    assert opened.schema.field("zip").type == pa.int64()
    assert codes(opened.with_state(state)) == [2, 1]
    assert codes(opened.with_state(state).cast(opened.columns()["features"].dtype)) == [2, 1]


def test_names_of_folders_are_text_where_training_had_them_so(tmp_path: Path) -> None:
    state = trained(table(Parquet, folders(tmp_path / "all", ZIPS)))
    some = table(Parquet, folders(tmp_path / "some", ["05678", "01234", "7"])).open()
    assert some.schema.field("zip").type == pa.int64()
    assert codes(some.with_state(state)) == [1, 2, 0]  # in the folders' order


def test_a_file_that_says_itself_that_it_holds_numbers_is_refused(tmp_path: Path) -> None:
    state = trained(table(CSV, lines(tmp_path / "a.csv", ZIPS)))
    pq.write_table(pa.table({"x": [0.0, 1.0], "zip": [1234, 5678], "y": [0, 1]}), tmp_path / "b.parquet")
    with (
        pa.OSFile(str(tmp_path / "b.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, pq.read_schema(tmp_path / "b.parquet")) as out,
    ):
        out.write_table(pq.read_table(tmp_path / "b.parquet"))
    lines(tmp_path / "b.jsonl", [1234, 5678])
    for kind, name in ((Parquet, "b.parquet"), (Arrow, "b.arrow"), (JSONLines, "b.jsonl")):
        with pytest.raises(DataError, match="column `zip` holds int64, its categories were learned as string"):
            codes(table(kind, tmp_path / name).open(text=("zip",)).with_state(state))


def test_categories_that_were_numbers_are_found_in_text_or_refused(tmp_path: Path) -> None:
    state = trained(table(CSV, lines(tmp_path / "a.csv", ["01234", "05678"])))
    assert codes(table(CSV, lines(tmp_path / "b.csv", ["05678", "7"])).open().with_state(state)) == [2, 0]
    with pytest.raises(DataError, match="column `zip` holds string, its categories were learned as int64"):
        codes(table(CSV, lines(tmp_path / "c.csv", ZIPS)).open().with_state(state))


def test_rows_of_training_keep_their_readers(tmp_path: Path) -> None:
    rows = table(CSV, lines(tmp_path / "a.csv", ZIPS)).open()
    again = rows.with_state(trained(rows.source))  # type: ignore[arg-type]
    assert isinstance(again, TableRows)
    assert again.groups.readers == rows.groups.readers
