"""Parts of predictions become one file: whole or absent, the same wherever the parts end."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gdist.errors import RunFailed, UsageError
from gdist.run import predictions
from gdist.run.predictions import Parts, PartWriter, discard, read_parts
from gdist.run.table_files import KINDS


def write(out: Path, cuts: list[int], *, rows: int = 95) -> None:
    """A file of ``rows`` rows in parts that end at ``cuts``."""
    parts = Parts(out)
    parts.begin()
    paths = []
    for rank, (start, stop) in enumerate(pairwise([0, *cuts, rows])):
        paths.append(parts.part(rank))
        writer = PartWriter(paths[-1])
        for row in range(start, stop):
            writer.add(pa.table({"row": [row], **({} if row % 9 == 4 else {"prediction": [row / 2]})}))
        writer.close(whole=True)
    assert not out.exists()
    assert sum(parts.join(read_parts(paths))) == rows
    parts.end()


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_do_not_depend_on_where_the_parts_end(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "GROUP_ROWS", 10)
    monkeypatch.setattr(predictions, "_HELD_BYTES", 64)
    made = [[], [50], [5, 5, 31, 90], [4, 5, 94]]
    for i, cuts in enumerate(made):
        write(tmp_path / f"{i}{kind}", cuts)
    contents = [(tmp_path / f"{i}{kind}").read_bytes() for i in range(len(made))]
    assert contents.count(contents[0]) == len(made)
    assert len(os.listdir(tmp_path)) == len(made)


def test_rows_of_which_nothing_is_known_are_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "GROUP_ROWS", 10)
    write(tmp_path / "x.parquet", [4, 5])
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert file.metadata.num_row_groups == 10
    assert file.read()["prediction"].to_pylist() == [None if row % 9 == 4 else row / 2 for row in range(95)]


def test_json_lines_are_json(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "x.jsonl")
    parts.begin()
    lists = pa.FixedSizeListArray.from_arrays(pa.array([1.5, 2, float("nan"), 4], pa.float32()), 2)
    nested = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4]), 1)
    twice = pa.FixedSizeListArray.from_arrays(nested, 2)
    table = pa.table({'a "name"': ['say "é"\n', None], "list": lists, "nested": twice, "yes": [True, None]})
    assert list(parts.join(iter([table.slice(0, 1), table.slice(1)]))) == [2]
    parts.end()
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert rows == [
        {'a "name"': 'say "é"\n', "list": [1.5, 2], "nested": [[1], [2]], "yes": True},
        {'a "name"': None, "list": [None, 4], "nested": [[3], [4]], "yes": None},
    ]


def test_a_csv_has_a_column_for_each_element(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "x.csv")
    parts.begin()
    lists = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4]), 2)
    list(parts.join(iter([pa.table({"row": [0, 1], "prediction": lists})])))
    parts.end()
    assert (tmp_path / "x.csv").read_text() == '"row","prediction_0","prediction_1"\n0,1,2\n1,3,4\n'


def test_two_processes_do_not_write_one_file_and_what_is_held_is_not_discarded(tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    parts = Parts(out)
    parts.begin()
    (parts.folder / "lock").write_text("process 1 on elsewhere")  # as if another process had begun
    with pytest.raises(UsageError, match="another process is writing this file now"):
        Parts(out).begin()
    discard(str(out))
    assert parts.folder.is_dir()
    parts.end()
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predictions, "sync_file", full)
    parts = Parts(tmp_path / "x.parquet")
    parts.begin()
    with pytest.raises(RunFailed, match=r"cannot write x.parquet: No space left on device"):
        list(parts.join(iter([pa.table({"row": [1]})])))
    parts.end()
    assert os.listdir(tmp_path) == []
