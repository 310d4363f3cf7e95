"""The cache: one process writes, what is there is whole, the dead leave nothing that counts, the oldest go."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gdist.data.cache import cache_folder, kept, look_up
from gdist.data.cache import cached as checked
from gdist.errors import DataError

# Writes its process id in many small pieces, with a line in the log for each time that it is asked to write.
WRITER = """
import os, sys, time
from pathlib import Path
from gdist.data.cache import cached
folder = Path(sys.argv[1])
def write(path):
    with open(folder / "log", "a") as log:
        log.write(f"{os.getpid()}\\n")
    with open(path, "w") as file:
        for _ in range(200):
            file.write(f"{os.getpid()}\\n")
            file.flush()
            if (folder / "hold").exists():
                (folder / "held").touch()
                time.sleep(60)
print(cached("pids", "abc", write, Path.read_text), end="")
"""


cached = partial(checked, read=lambda path: path)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def start_writer(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)


def hold_a_writer(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock, with its entry half written."""
    (tmp_path / "hold").touch()
    writer = start_writer(tmp_path)
    until = time.monotonic() + 30
    while not (tmp_path / "held").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    return writer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_entry_is_written_once_and_carries_its_fingerprint(folder: Path) -> None:
    written = []

    def write(path: Path) -> None:
        written.append(path)
        path.write_bytes(b"tokens")

    first, second, other = cached("t", "aa", write), cached("t", "aa", write), cached("t", "bb", write)
    assert first == second != other
    assert len(written) == 2
    assert first.read_bytes() == b"tokens"
    assert names(folder) == ["t-aa.cached", "t-bb.cached"]


def test_of_many_processes_one_writes_and_all_read_the_same(tmp_path: Path, folder: Path) -> None:
    writers = [start_writer(tmp_path) for _ in range(5)]
    read = {writer.communicate(timeout=60)[0] for writer in writers}
    pid = (tmp_path / "log").read_text().split()
    assert len(pid) == 1
    assert read == {f"{pid[0]}\n" * 200}
    assert names(folder) == ["pids-abc.cached"]


def test_a_killed_writer_leaves_nothing_that_counts_and_the_next_removes_it(tmp_path: Path, folder: Path) -> None:
    writer = hold_a_writer(tmp_path)
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=10)
    assert writer.returncode == -signal.SIGKILL
    assert any(name.endswith(".aside") for name in names(folder)), "it did not die half way"
    (tmp_path / "hold").unlink()
    assert cached("pids", "abc", lambda path: path.write_text("whole") and None).read_text() == "whole"
    assert names(folder) == ["pids-abc.cached"]


def test_waiting_for_another_process_has_an_end_and_names_it(tmp_path: Path, folder: Path) -> None:
    writer = hold_a_writer(tmp_path)
    try:
        with pytest.raises(DataError, match=f"process {writer.pid} on .* has been writing .* more than 0 s"):
            cached("pids", "abc", lambda path: None, deadline_s=0.1)
        cached("pids", "other", lambda path: path.touch(), deadline_s=0.1)
    finally:
        writer.kill()
        writer.communicate()


def test_what_the_writer_raises_is_raised_and_leaves_nothing(folder: Path) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cached("t", "aa", write)
    assert names(folder) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_the_mend(folder: Path, code: int) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(code, os.strerror(code))

    with pytest.raises(DataError, match=r"disk of the cache is full[^$]*set GDIST_CACHE"):
        cached("t", "aa", write)
    assert names(folder) == []


def test_a_folder_that_takes_no_files_is_said_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"cannot write to the folder of the cache[^$]*set GDIST_CACHE"):
        cached("t", "aa", lambda path: path.touch())
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot write"):
        cached("t", "aa", lambda path: path.touch())


def test_another_file_s_error_is_not_the_cache_s(tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        cached("t", "aa", lambda path: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no", "/root/corpus.txt")))


def test_the_least_recently_used_go_first_and_other_files_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i, name in enumerate("abcd"):
        path = cached(name, "0", lambda path: path.write_bytes(bytes(100)) and None)
        os.utime(path, (time.time() - 10_000 + i,) * 2)
    (folder / "mine.txt").write_bytes(bytes(1000))
    cached("a", "0", lambda path: None)  # used again
    monkeypatch.setenv("GDIST_CACHE_BYTES", "300")
    cached("e", "0", lambda path: path.write_bytes(bytes(100)) and None)
    assert names(folder) == ["a-0.cached", "d-0.cached", "e-0.cached", "mine.txt"]


def test_what_was_used_just_now_stays_however_small_the_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDIST_CACHE_BYTES", "1")
    for name in "ab":
        cached(name, "0", lambda path: path.write_bytes(bytes(100)) and None)
    assert names(folder) == ["a-0.cached", "b-0.cached"]
    monkeypatch.setenv("GDIST_CACHE_BYTES", "1GB")
    with pytest.raises(DataError, match="whole number of bytes"):
        cached("c", "0", lambda path: path.touch())


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GDIST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "gdist"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "gdist"


DAMAGES = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "one bit": lambda whole: whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:],
    "zeros": lambda whole: bytes(len(whole)),
    "longer": lambda whole: whole + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_made_again(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    made: list[int] = []
    find = partial(kept, "split", "aa", lambda: made.append(1) or b"which rows train")
    assert find() == find() == look_up("split", "aa") == b"which rows train"
    entry = folder / "split-aa.cached"
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert look_up("split", "aa") is None
    assert find() == find() == b"which rows train"
    assert len(made) == 2
    assert entry.read_bytes() == whole


def test_a_large_entry_is_made_again_when_its_own_check_says_so(folder: Path) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"whole")

    def read(path: Path) -> bytes | None:
        content = path.read_bytes()
        return content if content == b"whole" else None

    for damaged in (b"whole", b"hole", None):
        if damaged is not None:
            folder.mkdir(exist_ok=True)
            (folder / "tokens-aa.cached").write_bytes(damaged)
        else:
            (folder / "tokens-aa.cached").unlink()
        assert checked("tokens", "aa", write, read) == b"whole"


def test_a_disk_that_gives_back_something_else_is_said(folder: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read as it was written[^$]*t-aa[^$]*is the disk sound"):
        checked("t", "aa", lambda path: path.write_bytes(b"x") and None, lambda path: None)


def test_what_there_is_no_room_to_keep_is_made_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    made: list[int] = []
    for place in (tmp_path / "file", tmp_path / "file" / "cache"):
        monkeypatch.setenv("GDIST_CACHE", str(place))
        assert kept("split", "aa", lambda: made.append(1) or b"rows") == b"rows"
        assert look_up("split", "aa") is None
    assert len(made) == 2


def test_a_file_size_limit_reached_is_said_and_small_contents_go_on_without_the_cache(folder: Path) -> None:
    """A real limit of the kernel: in a process of its own, as it cannot be taken back."""
    code = """
import resource, signal
from gdist.data.cache import cached, kept
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
print(kept("split", "aa", lambda: bytes(1000)) == bytes(1000))
try:
    cached("tokens", "aa", lambda path: path.write_bytes(bytes(1000)), lambda path: path)
except Exception as error:
    print(type(error).__name__, str(error).splitlines()[0])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.splitlines() == ["True", "DataError the disk of the cache is full"]
    assert names(folder) == []


def test_what_making_it_raises_is_raised_once(folder: Path) -> None:
    calls: list[int] = []

    def make() -> bytes:
        calls.append(1)
        raise DataError("a data file is damaged")

    with pytest.raises(DataError, match="a data file is damaged"):
        kept("split", "aa", make)
    assert len(calls) == 1
