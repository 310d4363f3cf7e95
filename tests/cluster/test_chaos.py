"""The chaos benchmark at the size of CI, and its checker on runs that were tampered with: each kind of loss is found."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STEPS = 60

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def checker() -> Iterator[Any]:
    sys.path.append(str(BENCHMARKS))
    import chaotic.checker

    yield chaotic.checker
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the benchmark's job that nobody disturbed."""
    folder = tmp_path_factory.mktemp("chaos")
    (folder / "records").mkdir()
    job = str(BENCHMARKS / "chaotic" / "job.py")
    command = [sys.executable, "-m", "gdist", "train", job, f"steps={STEPS}", "--local", "--plain", "--run-dir", "run"]
    env = {"PYTHONPATH": f"{BENCHMARKS}:{BENCHMARKS.parent}", "BENCH_RECORDS": str(folder / "records"), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(good, tmp_path / "copy"))


def change(path: Path, how: Callable[[Lines], Lines]) -> None:
    """Rewrites a file of JSON lines."""
    lines = how([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def found(checker: Any, folder: Path, good: Path) -> dict[str, Any]:
    result: dict[str, Any] = checker.check(folder / "run", good / "run", records=folder / "records")
    return result


def test_an_undisturbed_run_is_good(checker: Any, folder: Path, good: Path) -> None:
    said = found(checker, folder, good)
    assert checker.is_good(said)
    assert said["steps"] == STEPS
    assert (
        said["weights_sha256"] == said["quiet_sha256"] == json.loads((good / "run/result.json").read_text())["weights_sha256"]
    )


def test_a_step_without_a_line_is_lost(checker: Any, folder: Path, good: Path) -> None:
    change(folder / "run/metrics.jsonl", lambda lines: [line for line in lines if (line["kind"], line["step"]) != ("step", 30)])
    assert found(checker, folder, good)["steps_lost"] == 1


def test_a_step_with_two_lines_was_redone(checker: Any, folder: Path, good: Path) -> None:
    change(folder / "run/metrics.jsonl", lambda lines: [*lines[:12], *lines[9:]])
    assert found(checker, folder, good)["steps_redone"] == 3


@pytest.mark.parametrize(("joined", "redone"), [([0, 1], 0), ([1], 3)], ids=["all lost", "one survived"])
def test_only_a_run_that_lost_all_members_may_go_back(
    checker: Any, folder: Path, good: Path, joined: list[int], redone: int
) -> None:
    def back(lines: Lines) -> Lines:
        return [*lines[:12], *({**line, "generation": 2} for line in lines[9:])]

    change(folder / "run/metrics.jsonl", back)
    first = {"event": "generation", "generation": 1, "members": [0, 1], "joined": [0, 1], "step": 0}
    second = {"event": "generation", "generation": 2, "members": [0, 1], "joined": joined, "step": 9}
    change(folder / "run/events.jsonl", lambda lines: [*lines, first, second])
    assert found(checker, folder, good)["steps_redone"] == redone


def test_a_step_that_a_process_noted_twice_was_redone(checker: Any, folder: Path, good: Path) -> None:
    (record,) = (folder / "records").iterdir()
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join([*lines[:20], *lines[18:]]))
    assert found(checker, folder, good)["steps_redone"] == 2


def test_a_sample_that_no_span_has_is_lost(checker: Any, folder: Path, good: Path) -> None:
    def without(lines: Lines) -> Lines:
        spans = next(line["spans"] for line in lines if line.get("spans"))
        removed = spans.pop(3)
        without.rows = removed[2] - removed[1]  # type: ignore[attr-defined]
        return lines

    change(folder / "run/ledger.jsonl", without)
    said = found(checker, folder, good)
    assert (said["samples_lost"], said["samples_doubled"]) == (without.rows, 0)  # type: ignore[attr-defined]


def test_a_span_that_stands_twice_doubles_its_samples(checker: Any, folder: Path, good: Path) -> None:
    def twice(lines: Lines) -> Lines:
        spans = next(line["spans"] for line in lines if line.get("spans"))
        spans.append(spans[3])
        return lines

    change(folder / "run/ledger.jsonl", twice)
    assert found(checker, folder, good)["samples_doubled"] > 0


def test_another_row_than_the_order_gives_is_found(checker: Any, folder: Path, good: Path) -> None:
    def other(lines: Lines) -> Lines:
        next(line["spans"] for line in lines if line.get("spans"))[3][3] ^= 1
        return lines

    change(folder / "run/ledger.jsonl", other)
    said = found(checker, folder, good)
    assert said["samples_lost"] + said["samples_doubled"] > 0


def test_one_bit_of_the_weights_is_seen(checker: Any, folder: Path, good: Path) -> None:
    model = folder / "run/model.safetensors"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    said = found(checker, folder, good)
    assert not said["weights_equal"]
    assert not checker.is_good(said)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("faults", [6, pytest.param(12, marks=pytest.mark.long)])
def test_a_run_under_random_faults_is_the_quiet_one_to_the_bit(tmp_path: Path, faults: int) -> None:
    command = [
        sys.executable,
        str(BENCHMARKS / "chaos.py"),
        "--faults",
        str(faults),
        "--json",
        "--keep",
        str(tmp_path / "chaos"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=380)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    assert {name: said[name] for name in ("faults", "steps_lost", "steps_redone", "samples_lost", "samples_doubled")} == {
        "faults": faults, "steps_lost": 0, "steps_redone": 0, "samples_lost": 0, "samples_doubled": 0,
    }  # fmt: skip
    assert said["weights_equal"]
    assert said["weights_sha256"] == said["quiet_sha256"]
    if faults >= len(said["injected"]):
        assert all(said["injected"].values()), "each kind of fault came"
        for what in ("worker_lost", "hung", "leaving", "scale", "controller", "generation"):
            assert said["happened"].get(what), f"the run itself says that {what} came to pass"
