"""A checkpoint is whole or absent wherever its writers die, and never older than the last one acknowledged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("mortal_writers.py")


def run(mode: str, folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, SCRIPT, mode, folder], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert all(case["same"] for case in found), [case for case in found if not case["same"]]
    assert all(case["step"] == 2 for case in found if case["acknowledged"]), "what was acknowledged is found"
    return found


def test_one_of_two_writers_killed_in_each_phase(tmp_path: Path) -> None:
    found = run("points", tmp_path)
    fired = {(case["point"], case["victim"]) for case in found if case["fired"]}
    assert all(case["killed"] == case["fired"] for case in found)
    assert len(fired) == 12, "the first writer dies in eight phases, the second in the four that it has"
    for case in found:
        whole = case["point"] in ("checkpoint_whole", "checkpoint_older", "checkpoint_removed") or not case["fired"]
        died_with_its_part_written = (case["point"], case["victim"]) == ("checkpoint_part", 1)
        assert case["step"] == (2 if whole or died_with_its_part_written else 1), case
        assert case["next"], "the next generation writes"
        assert case["after"] == {"step": 3, "same": True, "left": ["step-00000003.g2"]}, "and takes away what was left"


@pytest.fixture
def strace(tmp_path: Path) -> None:
    tried = shutil.which("strace") and subprocess.run(["strace", "-o", tmp_path / "tried", "true"], capture_output=True)
    if not tried or tried.returncode:
        pytest.skip("strace cannot be used here")


def test_killed_at_every_system_call(tmp_path: Path, strace: None) -> None:
    found = run("calls", tmp_path)
    reached = {call: [case for case in found if case["call"] == call] for call in {case["call"] for case in found}}
    assert {"openat", "write", "fsync", "rename", "mkdir", "unlink"} <= {
        call for call, cases in reached.items() if len(cases) > 1
    }
    for cases in reached.values():
        assert not cases[-1]["killed"]
        assert cases[-1]["acknowledged"], "each call there is was one at which the writer died"
        assert [case["step"] for case in cases] == sorted(case["step"] for case in cases), "once whole, it stays"
    assert {case["step"] for case in found if case["killed"]} == {1, 2}


def test_an_error_at_every_system_call(tmp_path: Path, strace: None) -> None:
    found = run("errors", tmp_path)
    assert not any(case["killed"] for case in found)
    failed = [case for case in found if not case["acknowledged"]]
    assert {case["call"] for case in failed} == {"write", "fsync", "rename", "mkdir"}
    assert all(case["left"] == ["step-00000001"] for case in failed), "nothing unfinished is left, and what was good stays"
