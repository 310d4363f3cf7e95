"""A file, a folder, a glob, a list: which files they mean, on this machine."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gdist.data.storage import StoredFile, find_files
from gdist.errors import DataError

SUFFIXES = (".parquet", ".pq")
NOBODY = 65534


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Is the working folder too."""
    for name in (
        "b.parquet",
        "a.parquet",
        "notes.txt",
        "_SUCCESS",
        ".hidden.parquet",
        "_temporary/0.parquet",
        "more/c.parquet",
        "more/deep/d.PARQUET",
        "more-or-less/e.pq",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(path: Any) -> list[str]:
    return [file.shown for file in find_files(path, suffixes=SUFFIXES)]


def test_a_folder_is_searched_to_its_depth_and_marks_are_skipped(data: Path) -> None:
    # name by name: `more` is before `more-or-less`, though "-" is before "/"
    assert found(".") == ["a.parquet", "b.parquet", "more/c.parquet", "more/deep/d.PARQUET", "more-or-less/e.pq"]
    assert found(Path("more")) == ["more/c.parquet", "more/deep/d.PARQUET"]
    assert found(f"{data.parent}/./{data.name}/more/") == [f"{data}/more/c.parquet", f"{data}/more/deep/d.PARQUET"]


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("*.parquet", ["a.parquet", "b.parquet"]),
        ("?.parquet", ["a.parquet", "b.parquet"]),
        ("[b-z]*.parquet", ["b.parquet"]),
        ("*.txt", ["notes.txt"]),
        ("*", ["a.parquet", "b.parquet", "more/c.parquet", "more/deep/d.PARQUET", "more-or-less/e.pq"]),
        ("more*", ["more/c.parquet", "more/deep/d.PARQUET", "more-or-less/e.pq"]),
        ("*/*.p*q*", ["more/c.parquet", "more-or-less/e.pq"]),
        ("**/*.parquet", ["a.parquet", "b.parquet", "more/c.parquet"]),
        ("more/**", ["more/c.parquet", "more/deep/d.PARQUET"]),
        ("**/deep/*", ["more/deep/d.PARQUET"]),
        ("m*/deep/d.PARQUET", ["more/deep/d.PARQUET"]),
        ("_*/*.parquet", ["_temporary/0.parquet"]),
        (".h*.parquet", [".hidden.parquet"]),
    ],
)
def test_a_glob_stands_for_what_it_matches(data: Path, glob: str, names: list[str]) -> None:
    assert found(glob) == names
    assert found(data / glob) == [str(data / name) for name in names]


def test_a_list_keeps_its_order_and_each_path_is_sorted(data: Path) -> None:
    assert found(["more", "b.parquet", "a*"]) == ["more/c.parquet", "more/deep/d.PARQUET", "b.parquet", "a.parquet"]
    assert found("notes.txt") == ["notes.txt"]  # named, so whatever its suffix
    assert found(f"file://{data}/b.parquet") == [f"{data}/b.parquet"]
    with pytest.raises(DataError, match="list of data files is empty"):
        found([])


def test_a_name_that_looks_like_a_glob_is_itself_first(data: Path) -> None:
    (data / "[a].parquet").touch()
    assert found("[a].parquet") == ["[a].parquet"]


def test_the_same_file_named_twice_is_an_error(data: Path) -> None:
    for path in (["a.parquet", "."], ["a.parquet", data / "a.parquet"], ["more/../a.parquet", "a*"]):
        with pytest.raises(DataError, match="named twice") as caught:
            found(path)
        assert (caught.value.where or "").endswith("a.parquet")
    (data / "link.parquet").symlink_to("a.parquet")
    with pytest.raises(DataError, match="named twice") as caught:
        found(".")
    assert (caught.value.where, caught.value.note) == ("link.parquet", "the first time as a.parquet")


def test_links_are_followed_but_not_around(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "f.parquet").touch()
    (data / "more" / "link").symlink_to(elsewhere)
    (elsewhere / "around").symlink_to(data / "more")
    (data / "more" / "to nothing.parquet").symlink_to("nothing")
    assert found("more") == ["more/c.parquet", "more/deep/d.PARQUET", "more/link/f.parquet"]


def test_a_pipe_is_refused_not_waited_for_and_in_a_folder_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pq")
    (tmp_path / "a.pq").touch()
    with pytest.raises(DataError, match=r"a pipe, a socket or a device[^$]*pipe.pq[^$]*to a file first"):
        find_files(tmp_path / "pipe.pq", suffixes=SUFFIXES)
    for path in (tmp_path, tmp_path / "*.pq"):
        assert [Path(file.path).name for file in find_files(path, suffixes=SUFFIXES)] == ["a.pq"]


def test_folder_names_below_the_root_are_hive_partitions(tmp_path: Path) -> None:
    for name in ("site=a%2Fb/year=2024/x.parquet", "site=c/year=/x.parquet"):
        (tmp_path / "k=v" / name).parent.mkdir(parents=True)
        (tmp_path / "k=v" / name).touch()

    def hive(path: Path) -> list[dict[str, str]]:
        return [file.hive for file in find_files(path, suffixes=SUFFIXES)]

    assert hive(tmp_path / "k=v") == [{"site": "a/b", "year": "2024"}, {"site": "c", "year": ""}]
    assert hive(tmp_path / "k=v" / "site=c") == [{"year": ""}]
    assert hive(tmp_path / "k=v" / "*" / "year=2*") == [{"site": "a/b", "year": "2024"}]
    assert hive(tmp_path / "k=v" / "site=c" / "year=" / "x.parquet") == [{}]


def test_a_path_that_is_not_there_is_named_with_the_nearest(data: Path) -> None:
    with pytest.raises(DataError, match="no such data file or folder") as caught:
        found("a.parket")
    assert caught.value.where == f"a.parket (in {data})"
    assert caught.value.help == "did you mean `a.parquet`?"
    with pytest.raises(DataError, match="no such data file or folder") as caught:
        found(data / "moor" / "deep" / "d.PARQUET")
    assert caught.value.note == f"the folder {data}/moor does not exist"
    assert caught.value.help == f"did you mean `{data}/more`?"
    with pytest.raises(DataError, match="no such data file or folder") as caught:
        found("moor/*.parquet")
    assert caught.value.help == "did you mean `more`?"
    with pytest.raises(DataError, match=r"no \.parquet or \.pq file matches") as caught:
        found("*.gz")
    assert caught.value.where == f"*.gz (in {data})"


def test_a_stored_file_is_pyarrows_own_and_travels(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = find_files("a.parquet", suffixes=SUFFIXES)[0]
    assert (file.shown, file.size, file.version) == ("a.parquet", 9, str(os.stat("a.parquet").st_mtime_ns))
    assert file.identity() == {"path": "a.parquet", "size": 9, "version": file.version}
    copy: StoredFile = pickle.loads(pickle.dumps(file))
    assert (copy, hash(copy)) == (file, hash(file))
    monkeypatch.chdir("/")
    with copy.open() as opened, copy.open(memory_map=True) as mapped:
        assert (type(opened), type(mapped)) == (pa.OSFile, pa.MemoryMappedFile)
        assert opened.read() == mapped.read() == b"a.parquet"
    (data / "a.parquet").unlink()
    for memory_map in (False, True):
        with pytest.raises(DataError, match="a data file is gone") as caught:
            copy.open(memory_map=memory_map)
        assert caught.value.where == "a.parquet"
        assert caught.value.__context__ is None


@pytest.mark.parametrize("memory_map", [False, True])
def test_a_file_written_again_since_it_was_found_is_refused_at_each_open(tmp_path: Path, memory_map: bool) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"first")
    (file,) = find_files(path, suffixes=(".bin",))
    with file.open(memory_map=memory_map) as source:
        assert source.read() == b"first"
    (tmp_path / "aside").write_bytes(b"other")
    os.utime(tmp_path / "aside", ns=(0, 1_234_567_890))
    os.replace(tmp_path / "aside", path)
    with pytest.raises(DataError) as caught:
        file.open(memory_map=memory_map)
    assert caught.value.what == "a data file has changed since it was found"
    assert caught.value.where == str(path)
    assert caught.value.note == f"its version is 1234567890 now, and was {file.version}"
    path.write_bytes(b"longer than it was")
    with pytest.raises(DataError, match="it has 18 bytes now, and had 5"):
        file.open(memory_map=memory_map)
    assert find_files(path, suffixes=(".bin",))[0].open(memory_map=memory_map).read() == b"longer than it was"


def test_the_cache_s_key_of_a_file_is_its_place_size_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_bytes(folder[:3].encode())
        os.utime(tmp_path / folder / "a.csv", ns=(0, 0))  # as an archive is unpacked that has no times
    keys = []
    for folder in ("one", "other", ".."):
        monkeypatch.chdir(tmp_path / folder)
        (file,) = find_files("a.csv" if folder != ".." else tmp_path / "one" / "a.csv", suffixes=(".csv",))
        keys.append(file.key())
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]
    unknown = StoredFile("a", "a", 3, "")
    assert unknown.key() == unknown.key()
    there = subprocess.run(
        [sys.executable, "-c", "from gdist.data.storage import StoredFile; print(StoredFile('a', 'a', 3, '').key())"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert there.strip() != str(unknown.key()), "another process must not take over what may have changed"


def test_a_folder_that_may_not_be_read_is_an_error_not_skipped() -> None:
    script = (
        "import os, sys; from gdist.data.storage import find_files; from gdist.errors import DataError\n"
        f"if os.getuid() == 0: os.setuid({NOBODY})\n"
        "try: find_files(sys.argv[1], suffixes=('.parquet',))\n"
        "except DataError as error: print(error.what, error.where, sep='\\n')"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        closed = Path(folder) / "closed"
        closed.mkdir(mode=0)
        done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, timeout=60)
        assert done.stdout == f"no permission to read the data\n{closed}\n", done.stderr
        closed.chmod(0o700)
