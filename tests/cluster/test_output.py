"""What a process prints reaches the reader line by line, also when it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gdist.cluster.output import LINES_AT_ONCE, OutputReader, hold_pipe
from tests.cluster.conftest import until_empty


def printing(path: Path, code: str) -> subprocess.Popen[bytes]:
    start = f"from pathlib import Path; from gdist.cluster.output import capture_output; capture_output(Path({str(path)!r}))"
    return subprocess.Popen([sys.executable, "-c", f"import os, sys\n{start}\n{code}"])


def collect(reader: OutputReader, enough: int) -> list[str]:
    lines: list[str] = []

    def missing() -> list[str]:
        reader.read()
        lines.extend(reader.take())
        return [] if len(lines) >= enough else ["more"]

    assert until_empty(missing) == []
    return lines


def test_lines_of_python_and_of_c_come_in_order_without_rays_marks(tmp_path: Path) -> None:
    reader = OutputReader(tmp_path / "pipe")
    code = 'print("one"); os.write(2, b":actor_name:X\\ntwo\\n"); print("thr\\u00e9e", file=sys.stderr); print("rest", end="")'
    printing(tmp_path / "pipe", code).wait(20)
    assert collect(reader, 3) == ["one", "two", "thr\u00e9e"]
    assert reader.close() == ["rest"]
    assert list(reader.last) == ["one", "two", "thr\u00e9e", "rest"]


def test_a_killed_process_has_said_what_it_said(tmp_path: Path) -> None:
    reader = OutputReader(tmp_path / "pipe")
    printing(tmp_path / "pipe", 'print("last words"); os.kill(os.getpid(), 9)').wait(20)
    assert reader.close() == ["last words"]


def test_what_was_said_before_anybody_reads_is_kept_by_whoever_holds_the_pipe(tmp_path: Path) -> None:
    held = hold_pipe(tmp_path / "pipe")
    printing(tmp_path / "pipe", 'print("early")').wait(20)
    reader = OutputReader(tmp_path / "pipe")
    os.close(held)
    assert reader.close() == ["early"]


def test_a_flood_of_lines_is_counted_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    reader = OutputReader(path)
    writer = os.open(path, os.O_WRONLY)
    for number in range(LINES_AT_ONCE + 10):
        os.write(writer, b"%d\n" % number)
    os.close(writer)
    reader.read()
    lines = reader.take()
    assert len(lines) == LINES_AT_ONCE + 1
    assert lines[-1] == "... 10 more lines"
    assert reader.last[-1] == str(LINES_AT_ONCE + 9)
    reader.close()
