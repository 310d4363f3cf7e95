"""The cache: one process writes, what is there is whole, the dead leave nothing that counts, the oldest go."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gdist.data.cache import cache_folder, cached
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
print(cached("pids", "abc", write).read_text(), end="")
"""


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
