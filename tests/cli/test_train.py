"""``gdist train --local`` and ``gdist resume``, run as a user runs them: exit codes, Ctrl-C, what is printed where."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from gdist.run.folder import RunFolder
from tests.cli.command import Gdist, result_of, write_job


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    """A folder with the run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    write_job(folder)
    command = [sys.executable, "-m", "gdist", "train", "tiny.py", "--local"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return folder, subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


@pytest.fixture
def again(whole: tuple[Path, CompletedProcess[str]], tmp_path: Path) -> Path:
    """A copy of that folder, to go on in."""
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def losses(run: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in RunFolder(run).metrics("step")}


def test_a_run_ends_with_0_and_a_summary_that_says_how_to_go_on(whole: tuple[Path, CompletedProcess[str]]) -> None:
    folder, done = whole
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "hello from the job file"
    assert lines[1] == "tiny in runs/tiny: 178 parameters, 160 samples (40 to validate), 15 steps in 3 epochs"
    assert any(line.startswith("step 15/15  training loss 0.") and "accuracy" in line for line in lines)
    assert "tiny is done: 15 steps, 3 epochs\n" in done.stdout
    assert "  run folder       runs/tiny\n  to go on         gdist resume tiny epochs=6\n" in done.stdout
    result = result_of(folder / "runs" / "tiny")
    assert (result["status"], result["steps"]) == ("done", 15)


def test_ctrl_c_once_ends_with_3_and_a_checkpoint_and_resume_gives_the_uninterrupted_model(
    gdist: Gdist, whole: tuple[Path, CompletedProcess[str]], tmp_path: Path
) -> None:
    write_job(tmp_path)
    run = tmp_path / "runs" / "tiny"
    stopped = gdist("train", "tiny.py", "--local", cwd=tmp_path, do="interrupt", at=6)
    assert stopped.returncode == 3, stopped.stderr
    assert "stopping at the next step, with a checkpoint; Ctrl-C again ends at once" in stopped.stdout
    assert "tiny was interrupted: 7 of 15 steps" in stopped.stdout
    assert "  checkpoint       step 7\n  to go on         gdist resume tiny\n" in stopped.stdout
    assert result_of(run)["status"] == "stopped"

    resumed = gdist("resume", "tiny", "--local", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "tiny goes on after step 7" in resumed.stdout
    uninterrupted = whole[0] / "runs" / "tiny"
    assert losses(run) == losses(uninterrupted)
    assert result_of(run)["weights_sha256"] == result_of(uninterrupted)["weights_sha256"]
    assert result_of(run)["validation"] == result_of(uninterrupted)["validation"]


def test_ctrl_c_twice_ends_at_once_with_130_and_says_where_to_go_on(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    ended = gdist("train", "tiny.py", "--local", cwd=tmp_path, do="interrupt_twice", at=6)
    assert ended.returncode == 130
    assert ended.stderr == "error: interrupted\nhelp: go on from step 4: gdist resume tiny\n"
    assert not (tmp_path / "runs" / "tiny" / "result.json").exists()


def test_json_prints_events_and_nothing_else_on_standard_output(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    ended = gdist("train", "tiny.py", "--local", "--json", cwd=tmp_path, do="interrupt", at=6)
    assert ended.returncode == 3
    assert ended.stderr.splitlines() == [
        "hello from the job file",
        "stopping at the next step, with a checkpoint; Ctrl-C again ends at once",
    ]
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [each["step"] for each in events if each["event"] == "step"] == [1, 2, 3, 4, 5, 6, 7]
    assert [each["step"] for each in events if each["event"] == "evaluation"] == [5, 7]
    names = [each["event"] for each in events]
    assert names[0] == "started"
    assert names[-1] == "finished"
    assert {"generation", "first_step", "checkpoint", "stopping"} <= set(names)
    assert all(each["time"] > 0 for each in events)


def test_a_mistake_in_the_job_ends_with_1_its_own_line_and_the_way_on(gdist: Gdist, tmp_path: Path) -> None:
    path = write_job(tmp_path)
    failed = gdist("train", "tiny.py", "--local", cwd=tmp_path, do="fail", at=6)
    assert failed.returncode == 1
    line = path.read_text().splitlines().index('        raise ValueError("a mistake of mine")') + 1
    first, where, *_ = failed.stderr.splitlines()
    assert first.startswith("error: ")
    assert "step 6" in first
    assert where == f'  --> tiny.py:{line} in fail: raise ValueError("a mistake of mine")'
    assert failed.stderr.count("ValueError: a mistake of mine") == 1
    assert failed.stderr.splitlines()[-1] == "help: go on from step 6: gdist resume tiny"
    assert result_of(tmp_path / "runs" / "tiny")["status"] == "failed"


def test_a_killed_resume_does_not_look_complete_and_can_be_gone_on_with(gdist: Gdist, again: Path) -> None:
    run = again / "runs" / "tiny"
    killed = gdist("resume", "tiny", "--local", "epochs=5", cwd=again, do="kill", at=20)
    assert killed.returncode == -9
    assert not (run / "result.json").exists()
    done = gdist("resume", "tiny", "--local", "optimizer=sgd", cwd=again)
    assert done.returncode == 0, done.stderr
    assert "the optimizer is now SGD, was AdamW: it starts with fresh state" in done.stdout
    assert result_of(run)["steps"] == 25
    assert RunFolder(run).job()["overrides"] == ["epochs=5", "optimizer=sgd"]


def test_breakpoint_in_a_local_job_gets_the_terminal_and_the_run_goes_on(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    done = gdist("train", "tiny.py", "--local", cwd=tmp_path, do="debug", at=2, text="p answer\nc\n")
    assert done.returncode == 0, done.stderr
    assert "(Pdb) 42" in done.stdout


def test_leaving_the_debugger_is_an_interruption_and_no_mistake_of_the_job(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    left = gdist("train", "tiny.py", "--local", cwd=tmp_path, do="debug", at=2, text="q\n")
    assert left.returncode == 130
    assert left.stderr == "error: interrupted\n"
