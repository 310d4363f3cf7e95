"""What fsspec reads, and Google's store: as far as either can be reached without a network."""

from __future__ import annotations

import datetime
from pathlib import Path

import fsspec
import pyarrow.fs as pafs
import pytest
from fsspec.registry import known_implementations

from gdist.data.storage import find_files
from gdist.data.storage.place import locate
from gdist.errors import DataError

SUFFIXES = (".parquet",)


def test_files_in_fsspecs_memory() -> None:
    store = fsspec.filesystem("memory")
    for name, content in {"b=1/x.parquet": b"0123456789", "a.parquet": b"a", "_marks/y.parquet": b"", "z.txt": b""}.items():
        store.pipe(f"/of-the-test/{name}", content)
    files = find_files("memory://of-the-test", suffixes=SUFFIXES)
    assert [(file.shown, file.size, file.hive) for file in files] == [
        ("memory://of-the-test/a.parquet", 1, {}),
        ("memory://of-the-test/b=1/x.parquet", 10, {"b": "1"}),
    ]
    assert files[1].version
    assert files[1].open().read_at(3, 4) == b"456"
    assert find_files("memory://of-the-test/*/*.parquet", suffixes=SUFFIXES) == files[1:]
    with pytest.raises(DataError, match="no such data file or folder") as caught:
        find_files("memory://of-the-test/b.parquet", suffixes=SUFFIXES)
    assert caught.value.help == "did you mean `memory://of-the-test/a.parquet`?"
    store.rm("/of-the-test", recursive=True)
    with pytest.raises(DataError, match="a data file is gone"):
        files[0].open().read()


def test_a_storage_that_nothing_installed_reads_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        known_implementations,
        "shelf",
        {"class": "no_such_package.Shelf", "err": "Install shelf-of-files to access shelves"},
    )
    with pytest.raises(DataError, match="what reads shelf:// is not installed") as caught:
        find_files("shelf://me:secret@host/x.parquet", suffixes=SUFFIXES)
    assert caught.value.where == "shelf://host/x.parquet"
    assert caught.value.help == "pip install shelf-of-files"
    with pytest.raises(DataError, match="no storage is known by memorie://") as caught:
        find_files("memorie://x.parquet", suffixes=SUFFIXES)
    assert caught.value.help == "did you mean `memory://`?"


def test_an_url_in_a_path_object_is_an_error_that_says_so() -> None:
    with pytest.raises(DataError, match="Path takes a slash out of an URL"):
        find_files(Path("s3://bucket/x.parquet"), suffixes=SUFFIXES)


def test_a_web_server_has_no_folders() -> None:
    with pytest.raises(DataError, match="a web server tells of no folder's files"):
        find_files("https://me:secret@127.0.0.1:9/data/", suffixes=SUFFIXES)


def test_googles_store_is_pyarrows_with_the_options_given() -> None:
    options = {
        "anonymous": True,
        "endpoint_override": "127.0.0.1:9",
        "scheme": "http",
        "retry_time_limit": datetime.timedelta(seconds=1),
        "attempts": 1,
    }
    place, path = locate("gs://bucket/data/x.parquet", options)
    assert path == "bucket/data/x.parquet"
    assert place.shown(path) == "gs://bucket/data/x.parquet"
    assert isinstance(place.filesystem().filesystem, pafs.GcsFileSystem)  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="the storage cannot be reached") as caught:
        find_files("gs://bucket/data/x.parquet", suffixes=SUFFIXES, options=options)
    assert caught.value.where == "gs://bucket/data/x.parquet"
