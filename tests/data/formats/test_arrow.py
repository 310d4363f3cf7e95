"""Arrow IPC through its reader: record batches are the row groups, used where they lie in a mapped file."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from gdist.data.formats import arrow
from gdist.errors import DataError
from tests.data.formats.stored import read_all, stored, survives_every_cut

SIZES = (300, 0, 300, 7)


def table(rows: int = sum(SIZES)) -> pa.Table:
    codes = pa.DictionaryArray.from_arrays(np.arange(rows, dtype=np.int32) % 2, ["one", "two"])
    pairs = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2 * rows, dtype=np.float32)), 2)
    return pa.table({"n": np.arange(rows), "code": codes, "word": [f"word {i}" for i in range(rows)], "pair": pairs})


def write(path: Path, *, stream: bool = False, compression: str | None = None, columns: list[str] | None = None) -> Path:
    rows = table() if columns is None else table().select(columns)
    opened = pa.ipc.new_stream if stream else pa.ipc.new_file
    (whole,) = rows.to_batches()
    with (
        pa.OSFile(str(path), "wb") as sink,
        opened(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer,
    ):
        start = 0
        for size in SIZES:
            writer.write_batch(whole.slice(start, size))
            start += size
    return path


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_record_batches_are_the_row_groups(tmp_path: Path, compression: str | None) -> None:
    reader = arrow.open_reader(stored(write(tmp_path / "a.arrow", compression=compression)), options=None)
    assert tuple(group.rows for group in reader.groups) == SIZES
    assert [group.first_row for group in reader.groups] == [0, 300, 300, 600]
    assert reader.schema == table().schema
    assert reader.read(2, ["word", "code", "n"]).table.equals(table().slice(300, 300).select(["word", "code", "n"]))
    assert read_all(tmp_path / "a.arrow", arrow).equals(table())


def test_what_is_not_compressed_is_used_where_it_lies(tmp_path: Path) -> None:
    numbers = np.arange(1_000_000)
    pyarrow.feather.write_feather(pa.table({"n": numbers}), str(tmp_path / "a.feather"), "uncompressed", chunksize=len(numbers))
    reader = arrow.open_reader(stored(tmp_path / "a.feather"), options=None)
    before = pa.total_allocated_bytes()
    column = reader.read(0, ["n"]).table.column("n")
    assert pa.total_allocated_bytes() - before < numbers.nbytes / 100
    assert np.array_equal(column.to_numpy(), numbers)
    assert reader.bytes_read == numbers.nbytes


def test_a_stream_is_read_like_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrow", stream=True, columns=["n", "word", "pair"])
    reader = arrow.open_reader(stored(path), options=None)
    assert tuple(group.rows for group in reader.groups) == SIZES
    assert read_all(path, arrow).equals(table().select(["n", "word", "pair"]))
    assert reader.read(3, ["pair", "n"]).table.equals(table().slice(600).select(["pair", "n"]))


def test_a_stream_with_dictionaries_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column `code` is a dictionary") as caught:
        arrow.open_reader(stored(write(tmp_path / "a.arrow", stream=True)), options=None)
    assert "pyarrow.ipc.new_file" in str(caught.value.help)


def test_feather_v2_is_read_and_v1_refused(tmp_path: Path) -> None:
    pyarrow.feather.write_feather(table(), str(tmp_path / "a.feather"), chunksize=100)
    assert read_all(tmp_path / "a.feather", arrow).equals(table())
    (tmp_path / "b.feather").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    with pytest.raises(DataError, match="Feather in its first version"):
        arrow.open_reader(stored(tmp_path / "b.feather"), options=None)


def test_threads_and_other_processes_read_at_once(tmp_path: Path) -> None:
    reader = arrow.open_reader(stored(write(tmp_path / "a.arrow", compression="zstd")), options=None)
    reader = pickle.loads(pickle.dumps(reader))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda group: reader.read(group % 4, ["n", "code"]).table, range(100)))
    assert all(found[i].equals(found[i % 4]) for i in range(100))


def test_a_file_without_record_batches_is_fine(tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table().schema):
        pass
    assert arrow.open_reader(stored(tmp_path / "a.arrow"), options=None).groups == []


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"PAR1 and so on", b"ARROW1" * 9, b"\xff" * 40])
def test_what_is_no_arrow_file_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises(DataError, match=r"not a whole Arrow file|not an Arrow file") as caught:
        arrow.open_reader(stored(tmp_path / "a.arrow"), options=None)
    assert caught.value.where == str(tmp_path / "a.arrow")


@pytest.mark.parametrize("compression", [None, "lz4"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_file_cut_or_damaged_anywhere_is_a_data_error(tmp_path: Path, compression: str | None, stream: bool) -> None:
    path = write(tmp_path / "a.arrow", compression=compression, stream=stream, columns=["n", "word"])
    path.write_bytes(path.read_bytes())
    cut, _ = survives_every_cut(path, arrow, every=150)
    ends = -(-path.stat().st_size // 150)
    assert cut == ends if not stream else cut >= ends - len(SIZES) - 1
