"""Object stores, on a real S3 server in its own process: found, read, and what goes wrong."""

from __future__ import annotations

import io
import pickle
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from gdist.data.storage import StoredFile, find_files
from gdist.errors import DataError
from tests.data.storage.conftest import LARGE
from tests.data.storage.servers import ACCESS_KEY, SECRET_KEY, Wire, options, s3_server

TABLES = "s3://training-data/tables"


def found(path: Any, s3: dict[str, Any]) -> list[StoredFile]:
    return find_files(path, suffixes=(".parquet",), options=s3)


def names(path: Any, s3: dict[str, Any]) -> list[str]:
    return [file.shown.removeprefix("s3://training-data/") for file in found(path, s3)]


@pytest.fixture
def wire(s3_port: int) -> Iterator[Wire]:
    with Wire(s3_port).open() as wire:
        yield wire


@pytest.fixture
def by_wire(s3: dict[str, Any], wire: Wire) -> dict[str, Any]:
    return {**s3, "endpoint_override": f"127.0.0.1:{wire.port}"}


def test_files_folders_globs_and_lists_mean_what_they_mean_on_a_disk(s3: dict[str, Any]) -> None:
    tables = ["tables/a.parquet", "tables/b.parquet", "tables/deep/c.parquet"]
    assert names(TABLES, s3) == names(f"{TABLES}/", s3) == names(f"{TABLES}/*", s3) == tables
    assert names(f"{TABLES}/*.parquet", s3) == tables[:2]
    assert names(f"{TABLES}/**/[bc].parquet", s3) == tables[1:]
    assert names(f"{TABLES.replace('s3://', 's3a://')}/?.parquet", s3) == tables[:2]
    assert names([f"{TABLES}/deep", f"{TABLES}/a.parquet"], s3) == [tables[2], tables[0]]
    assert names("s3://training-data/large.bin", s3) == ["large.bin"]
    assert len(names("s3://training-data", s3)) == 6
    with pytest.raises(DataError, match="named twice") as caught:
        found([TABLES, f"{TABLES}/deep"], s3)
    assert caught.value.where == f"{TABLES}/deep/c.parquet"


def test_a_file_is_the_same_alone_and_in_a_folder(s3: dict[str, Any]) -> None:
    alone = found(f"{TABLES}/b.parquet", s3)[0]
    assert alone in found(TABLES, s3)
    assert alone.size == 2
    assert int(alone.version) > 10**18


def test_hive_partitions(s3: dict[str, Any]) -> None:
    assert [file.hive for file in found("s3://training-data/years/year=202?", s3)] == [
        {"year": "2023", "month": "12"},
        {"year": "2024", "month": "01"},
        {"year": "2024", "month": "02"},
    ]


def test_the_environments_credentials_are_the_default(s3: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{s3['endpoint_override']}/")
    assert len(find_files(TABLES, suffixes=(".parquet",))) == 3


def test_an_url_may_hold_credentials_and_the_endpoint(s3: dict[str, Any]) -> None:
    query = f"?scheme=http&region=us-east-1&endpoint_override={s3['endpoint_override']}"
    files = find_files(f"s3://{ACCESS_KEY}:{SECRET_KEY}@training-data/tables/a.parquet{query}", suffixes=(".parquet",))
    assert [file.shown for file in files] == [f"{TABLES}/a.parquet"]
    assert SECRET_KEY not in f"{files}"
    assert files[0].open().read() == b"a"


def test_a_file_reads_at_any_offset_from_many_threads_and_after_a_journey(s3: dict[str, Any]) -> None:
    file: StoredFile = pickle.loads(pickle.dumps(found("s3://training-data/large.bin", s3)[0]))
    opened = file.open()
    assert (opened.size(), opened.read(3), opened.tell()) == (len(LARGE), LARGE[:3], 3)
    assert (opened.seek(-2, 2), opened.read(), opened.read()) == (len(LARGE) - 2, LARGE[-2:], b"")

    def same(i: int) -> bool:
        return bool(opened.read_at(50_000 + i, 1009 * i) == LARGE[1009 * i : 1010 * i + 50_000])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, range(200)))
    opened.close()
    assert opened.closed


def test_a_connection_cut_half_way_is_made_again(by_wire: dict[str, Any], wire: Wire) -> None:
    opened = found("s3://training-data/large.bin", by_wire)[0].open()
    wire.cuts = 2
    assert opened.read() == LARGE
    assert wire.fired == 2


def test_a_connection_that_is_always_cut_is_an_error_that_counts(by_wire: dict[str, Any], wire: Wire) -> None:
    file = found("s3://training-data/large.bin", {**by_wire, "attempts": 3})[0]
    wire.cuts = 3
    with pytest.raises(DataError, match=r"the connection to the storage broke, tried 3 times in \d+\.\d s") as caught:
        file.open().read()
    assert wire.fired == 3
    assert caught.value.where == "s3://training-data/large.bin"
    assert "attempts" in (caught.value.help or "")
    assert file.open().read() == LARGE  # the wire is whole again
    wire.cuts = 9
    with pytest.raises(DataError, match="broke"):
        found("s3://training-data/large.bin", {**by_wire, "attempts": 9, "deadline_s": 0.3})[0].open().read()
    assert wire.fired <= 5


def test_a_server_that_falls_silent_is_given_up(by_wire: dict[str, Any], wire: Wire) -> None:
    opened = found("s3://training-data/large.bin", {**by_wire, "attempts": 1})[0].open()
    wire.after = 0
    wire.held = True
    with pytest.raises(DataError, match="broke") as caught:
        opened.read()
    assert "Timeout" in (caught.value.note or "")
    assert wire.fired == 1


def test_the_error_comes_through_pyarrows_readers_as_it_is(s3: dict[str, Any], by_wire: dict[str, Any], wire: Wire) -> None:
    table = pa.table({"x": pa.array(range(100_000)), "y": pa.array(range(100_000))})
    written = io.BytesIO()
    pq.write_table(table, written, compression="none", use_dictionary=False, row_group_size=25_000)
    store = pafs.S3FileSystem(**s3)
    with store.open_output_stream("training-data/written/table.parquet") as out:
        out.write(written.getvalue())
    file = found("s3://training-data/written", {**by_wire, "attempts": 2})[0]
    assert pq.ParquetFile(file.open(), pre_buffer=True).read() == table
    reader = pq.ParquetFile(file.open(), pre_buffer=True)
    wire.cuts = 1
    assert reader.read_row_group(3).equals(table.slice(75_000))
    assert wire.fired == 1
    wire.cuts = 1000
    with pytest.raises(DataError, match="broke, tried 2 times"):
        reader.read_row_group(2)
    store.delete_file("training-data/written/table.parquet")
    with pytest.raises(DataError, match="a data file is gone"):
        file.open()
    with store.open_output_stream("training-data/written/table.parquet") as out:
        out.write(b"other")
    with pytest.raises(DataError, match="changed since it was found"):
        file.open()
    store.delete_dir("training-data/written")


def test_what_is_not_there_is_named_with_the_nearest(s3: dict[str, Any]) -> None:
    for path, what, help in (
        ("s3://trainingdata/tables", "no such bucket", "s3://training-data"),
        ("s3://trainingdata/*.parquet", "no such bucket", "s3://training-data"),
        (f"{TABLES}/aa.parquet", "no such data file or folder", f"{TABLES}/a.parquet"),
        ("s3://training-data/tabels/a.parquet", "no such data file or folder", TABLES),
    ):
        with pytest.raises(DataError, match=what) as caught:
            found(path, s3)
        assert caught.value.help == f"did you mean `{help}`?"


def test_an_endpoint_out_of_reach_is_an_error_within_its_bound(s3: dict[str, Any]) -> None:
    nobody = {**s3, "endpoint_override": "127.0.0.1:9", "attempts": 2}
    with pytest.raises(DataError, match="the storage cannot be reached, tried 2 times") as caught:
        found(TABLES, nobody)
    assert caught.value.where == TABLES
    assert "endpoint" in (caught.value.help or "")


def test_no_permission_is_an_error_at_once_and_holds_no_credentials() -> None:
    with s3_server(INITIAL_NO_AUTH_ACTION_COUNT="0") as port:
        for path in (TABLES, f"{TABLES}/*"):
            with pytest.raises(DataError, match=r"no permission to read the data\n") as caught:
                found(path, options(port))
            shown = "".join(traceback.format_exception(caught.value))
            assert caught.value.help
            assert SECRET_KEY not in shown
            assert ACCESS_KEY not in shown


def test_an_option_that_is_none_is_named(s3: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="`storage` has an option `acess_key`") as caught:
        found(TABLES, {**s3, "acess_key": "x"})
    assert caught.value.help == "did you mean `access_key`?"
    with pytest.raises(DataError, match="`attempts`, which is 0, not a number above 0"):
        found(TABLES, {**s3, "attempts": 0})
