"""Parquet through its reader: row groups, used columns only, and every kind of damage as a DataError."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gdist.data.formats import parquet
from gdist.errors import DataError
from tests.data.formats.stored import read_all, refused, stored, survives_every_cut

ROWS = 1000


def table(rows: int = ROWS) -> pa.Table:
    random = np.random.default_rng(0)
    whole = pa.table(
        {
            "x": random.random(ROWS, np.float32),
            "n": pa.array([None if i % 7 == 0 else i for i in range(ROWS)], pa.int64()),
            "word": [f"word {i % 13}" for i in range(ROWS)],
            "pair": pa.FixedSizeListArray.from_arrays(pa.array(random.random(2 * ROWS)), 2),
            "inner": [{"a": i, "b": [i] * (i % 3)} for i in range(ROWS)],
        }
    )
    return whole.slice(0, rows)


def write(path: Path, rows: int = ROWS, group: int = 300, **settings: object) -> Path:
    pq.write_table(table(rows), path, row_group_size=group, **settings)
    return path


def test_row_groups_are_those_of_the_file(tmp_path: Path) -> None:
    reader = parquet.open_reader(stored(write(tmp_path / "a.parquet")), options=None)
    assert [(group.first_row, group.rows) for group in reader.groups] == [(0, 300), (300, 300), (600, 300), (900, 100)]
    assert reader.schema.equals(table().schema)
    read = reader.read(3, ["n", "x"])
    assert read.table.equals(table().slice(900).select(["n", "x"]))
    assert (read.rows, read.bad) == (None, {})


def test_only_the_columns_asked_for_are_read_and_counted(tmp_path: Path) -> None:
    reader = parquet.open_reader(stored(write(tmp_path / "a.parquet")), options=None)
    groups = [reader.metadata.row_group(group) for group in range(4)]
    everything = sum(group.column(leaf).total_compressed_size for group in groups for leaf in range(group.num_columns))
    size = (tmp_path / "a.parquet").stat().st_size
    assert size - 4 <= sum(group.stored_bytes for group in reader.groups) <= size
    for group in range(4):
        assert reader.read(group, ["x"]).table.column_names == ["x"]
    assert 4 * ROWS <= reader.bytes_read < everything / 4
    for group in range(4):
        reader.read(group, [name for name in reader.schema.names if name != "x"])
    assert reader.bytes_read == everything


def test_no_columns_still_have_rows(tmp_path: Path) -> None:
    reader = parquet.open_reader(stored(write(tmp_path / "a.parquet")), options=None)
    assert reader.read(3, []).table.shape == (100, 0)


def test_a_column_whose_name_begins_like_anothers_is_not_taken_for_it(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "a.b": [2], "b": [{"a": 3}]}), tmp_path / "a.parquet")
    reader = parquet.open_reader(stored(tmp_path / "a.parquet"), options=None)
    assert reader.read(0, ["a"]).table.to_pydict() == {"a": [1]}
    assert reader.read(0, ["a.b"]).table.to_pydict() == {"a.b": [2]}


def test_threads_and_other_processes_read_at_once(tmp_path: Path) -> None:
    reader = parquet.open_reader(stored(write(tmp_path / "a.parquet", group=10)), options=None)
    reader = pickle.loads(pickle.dumps(reader))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda group: reader.read(group % 100, ["x", "inner"]).table, range(300)))
    assert pa.concat_tables(found[:100]).equals(table().select(["x", "inner"]))
    assert reader.bytes_read % 3 == 0


def test_empty_files_and_row_groups_are_fine(tmp_path: Path) -> None:
    write(tmp_path / "empty.parquet", rows=0)
    assert read_all(tmp_path / "empty.parquet", parquet).num_rows == 0
    with pq.ParquetWriter(tmp_path / "holes.parquet", table().schema) as writer:
        for rows in (0, 5, 0, 3, 0):
            writer.write_table(table(rows))
    reader = parquet.open_reader(stored(tmp_path / "holes.parquet"), options=None)
    assert reader.rows == 8
    assert [reader.read(group, ["x"]).table.num_rows for group in range(len(reader.groups))] == [
        group.rows for group in reader.groups
    ]


def test_columns_of_folder_names_are_numbers_or_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", rows=3)
    reader = parquet.open_reader(stored(path, year="2024", place="Köln"), options=None)
    assert reader.schema.names[-2:] == ["year", "place"]
    assert reader.schema.field("year").type == pa.int64()
    read = reader.read(0, ["place", "x", "year"]).table
    assert read.column_names == ["place", "x", "year"]
    assert read.select(["place", "year"]).to_pydict() == {"place": ["Köln"] * 3, "year": [2024] * 3}
    assert reader.read(0, ["place"]).table.schema.field("place").type == pa.dictionary(pa.int32(), pa.string())


def test_the_fingerprint_is_of_size_and_footer(tmp_path: Path) -> None:
    one, two = (write(tmp_path / f"{name}.parquet") for name in "ab")
    fingerprints = {parquet.open_reader(stored(path), options=None).fingerprint() for path in (one, two)}
    assert len(fingerprints) == 1
    write(two, group=301)
    assert parquet.open_reader(stored(two), options=None).fingerprint() not in fingerprints


def test_a_wrong_checksum_names_the_row_group(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", write_page_checksum=True, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data[start + 600] ^= 1
    path.write_bytes(data)
    reader = parquet.open_reader(stored(path), options=None)
    assert reader.read(1, ["x"]).table.num_rows == 300
    with pytest.raises(DataError) as caught:
        reader.read(2, ["x"])
    assert str(caught.value) == (
        f"a data file is damaged\n  --> {path}, row group 2 (rows 600 to 899)\n"
        "note: could not verify page integrity, CRC checksum verification failed for page_ordinal 0\nhelp: write it again"
    )


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" * 100])
def test_what_is_no_parquet_file_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match="not a whole Parquet file: it is truncated, or of another format") as caught:
        parquet.open_reader(stored(tmp_path / "a.parquet"), options=None)
    assert caught.value.where == str(tmp_path / "a.parquet")
    assert caught.value.note


@pytest.mark.parametrize(
    ("content", "help"),
    [
        (b"a,b\n1,2\n", "its first bytes are those of another format: CSV(path=...)"),
        (b'{"a": 1}\n', "its first bytes are those of another format: JSONLines(path=...)"),
        (b"ARROW1\0\0", "its first bytes are those of another format: Arrow(path=...)"),
        (b"PAR1", "write it again; a writer that is still at work should write aside and rename"),
        (b"words", "write it again; a writer that is still at work should write aside and rename"),
    ],
)
def test_a_file_of_another_format_is_told_by_its_first_bytes(tmp_path: Path, content: bytes, help: str) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError) as caught:
        parquet.open_reader(stored(tmp_path / "a.parquet"), options=None)
    assert caught.value.help == help


def test_a_file_cut_or_damaged_anywhere_is_a_data_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", rows=40, group=15, write_page_checksum=True)
    cut, changed = survives_every_cut(path, parquet)
    assert cut == -(-path.stat().st_size // 50)
    assert changed > cut / 2


def test_what_a_damaged_footer_says_of_columns_ends_no_process(tmp_path: Path) -> None:
    """Some of it makes pyarrow's own accessors abort; a read of the column says so as an error."""
    path = write(tmp_path / "a.parquet", rows=40, group=20)
    whole = path.read_bytes()
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for at in range(start, len(whole) - 8, 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        refused(lambda: read_all(path, parquet))


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    reader = parquet.open_reader(stored(write(tmp_path / "a.parquet", rows=3)), options=None)
    with pytest.raises(DataError, match="no column `words`") as caught:
        reader.read(0, ["words"])
    assert (caught.value.note or "").startswith("columns: `")
    assert caught.value.help == "did you mean `word`?"
