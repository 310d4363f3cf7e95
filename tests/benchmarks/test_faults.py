"""The faults benchmark: what it reads out of the workers' records, and that it refuses what it does not know."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
VICTIM, SURVIVOR, NEW = 1, 2, 3


@pytest.fixture(scope="module")
def records() -> Iterator[Any]:
    sys.path.append(str(BENCHMARKS))
    import faulty.records

    yield faulty.records
    sys.path.remove(str(BENCHMARKS))


def written(folder: Path, steps: dict[int, list[tuple[int, float]]]) -> Path:
    """Each process's file: (step, seconds)."""
    for pid, lines in steps.items():
        (folder / str(pid)).write_text("".join(f"{step} {at}\n" for step, at in lines))
    return folder


def test_a_survivor_that_goes_on_redoes_nothing(records: Any, tmp_path: Path) -> None:
    before = [(step, step / 10) for step in range(1, 6)]
    after = [(step, 0.4 + step / 10) for step in range(6, 9)]
    taken = records.read_records(written(tmp_path, {VICTIM: before, SURVIVOR: before + after, NEW: after[1:]}))
    seconds, begins, ends = records.gap(taken, since=0.5)
    assert (seconds, begins, ends) == pytest.approx((0.5, 0.5, 1.0))
    assert records.redone(taken, since=0.5, victims=[VICTIM]) == 0


def test_steps_between_the_checkpoint_and_the_fault_are_redone_by_new_processes(records: Any, tmp_path: Path) -> None:
    before = [(step, step / 10) for step in range(1, 11)]
    again = [(step, 5 + step / 10) for step in range(6, 14)]  # from a checkpoint of step 5
    taken = records.read_records(written(tmp_path, {VICTIM: before, SURVIVOR: before, NEW: again}))
    assert records.redone(taken, since=1.0, victims=[VICTIM]) == 5


def test_a_step_that_only_the_victim_had_applied_is_not_redone(records: Any, tmp_path: Path) -> None:
    before = [(step, step / 10) for step in range(1, 6)]
    steps = {VICTIM: [*before, (6, 0.6)], SURVIVOR: [*before, (6, 1.6), (7, 1.7)]}
    assert records.redone(records.read_records(written(tmp_path, steps)), since=0.6, victims=[VICTIM]) == 0


def test_a_survivor_that_takes_a_step_twice_redoes_it(records: Any, tmp_path: Path) -> None:
    steps = {SURVIVOR: [(1, 0.1), (2, 0.2), (2, 0.9), (3, 1.0)]}
    assert records.redone(records.read_records(written(tmp_path, steps)), since=0.2) == 1


def test_a_line_that_a_kill_has_cut_off_does_not_count(records: Any, tmp_path: Path) -> None:
    (tmp_path / "7").write_text("1 0.1\n2 0.")
    assert [each.step for each in records.read_records(tmp_path)] == [1]


def test_an_unknown_part_is_refused() -> None:
    command = [sys.executable, str(BENCHMARKS / "faults.py"), "--only", "kill,burn"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 2
    assert "burn: not among kill, stop, scale, checkpoint" in ran.stderr
