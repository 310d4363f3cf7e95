"""``gdist audit``: what it says of a run that is right, of one that went back, and of ledgers edited by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Gdist, write_job

PROVED = """\
hello from the job file
  epoch    samples   used   no update   bad rows   rolled back   lost   doubled
  1 to 3       160    160           0          0             0      0         0

tiny is proved: every sample was used exactly once in each of 3 epochs
"""


@pytest.fixture
def trained(gdist: Gdist, tmp_path: Path) -> Path:
    """A folder with a complete run, ``tiny``: 3 epochs of 5 steps, 160 samples."""
    write_job(tmp_path)
    assert gdist("train", "tiny.py", "--local", cwd=tmp_path).returncode == 0
    (tmp_path / "tiny.py").unlink()  # the run has its own copy
    return tmp_path


def edit(folder: Path, change: Callable[[list[list[int]]], None]) -> None:
    """Changes the first epoch's spans in the ledger."""
    path = folder / "runs" / "tiny" / "ledger.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(next(line for line in lines if line.get("epoch") == 1)["spans"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_run_is_proved_in_a_table_and_a_sentence(gdist: Gdist, trained: Path) -> None:
    ended = gdist("audit", "tiny", cwd=trained)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, PROVED, "")


def test_a_run_killed_and_resumed_is_proved_and_its_json_stands_alone(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    assert gdist("train", "tiny.py", "--local", "steps=5", cwd=tmp_path).returncode == 0
    gdist("resume", "tiny", "--local", "epochs=3", cwd=tmp_path, do="kill", at=14)
    unfinished = gdist("audit", "@", cwd=tmp_path)
    assert unfinished.returncode == 0
    assert unfinished.stdout.splitlines()[-1].startswith("tiny is proved: every sample was used exactly once")
    assert gdist("resume", "tiny", "--local", "epochs=3", cwd=tmp_path).returncode == 0
    ended = gdist("audit", "tiny", "--json", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "hello from the job file\n")
    found: dict[str, Any] = json.loads(ended.stdout)
    assert (found["run"], found["proved"], found["steps"]) == ("tiny", True, 15)
    assert [(epoch["used"], epoch["finished"]) for epoch in found["epochs"]] == [(160, True)] * 3


def test_a_sample_that_a_step_lost_ends_with_1_and_is_named(gdist: Gdist, trained: Path) -> None:
    edit(trained, lambda spans: spans.__delitem__(1))
    ended = gdist("audit", "tiny", cwd=trained)
    assert ended.returncode == 1
    last = ended.stdout.splitlines()[-3:]
    assert last == [
        "8 lost: epoch 1, step 1, positions 8 to 15: no span of the ledger has them",
        "",
        "tiny FAILED: 8 lost and 0 doubled, in 1 epoch",
    ]


def test_samples_that_a_step_doubled_end_with_1(gdist: Gdist, trained: Path) -> None:
    edit(trained, lambda spans: spans.append(spans[-1]))
    ended = gdist("audit", "tiny", "--json", cwd=trained)
    assert ended.returncode == 1
    found = json.loads(ended.stdout)
    assert (found["proved"], found["lost"], found["doubled"]) == (False, 0, 8)


def test_a_stamp_that_is_off_ends_with_1(gdist: Gdist, trained: Path) -> None:
    def change(spans: list[list[int]]) -> None:
        spans[2][3] ^= 1

    edit(trained, change)
    ended = gdist("audit", "tiny", cwd=trained)
    assert ended.returncode == 1
    assert "step 1, positions 16 to 23: the rows that were read are not those of these positions" in ended.stdout


def test_a_run_without_a_ledger_and_no_such_run_say_so(gdist: Gdist, trained: Path) -> None:
    (trained / "runs" / "tiny" / "ledger.jsonl").unlink()
    ended = gdist("audit", "tiny", cwd=trained)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: run `tiny` has no ledger\n")
    assert gdist("audit", "tina", cwd=trained).returncode == 5
