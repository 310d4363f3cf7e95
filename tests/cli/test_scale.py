"""``gdist scale``: what is refused and why, and how it waits for what it has asked for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdist.cli.running import Running
from gdist.display.asked import Asked
from gdist.errors import RunFailed
from gdist.run.folder import RunFolder
from tests.cli.command import Gdist
from tests.display.recorded import LOST, generation, happened, started, step

NO_RUN = "there is no run in that folder; name another with --runs DIR, or give the run's path"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run whose folder this process holds, as its controller would."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create("runs", name="digits")
    folder.hold()
    folder.append_events([started(micro_batches=8), generation(1, [0, 1], joined=[0, 1], left=[], reason="start", step=0)])
    folder.append_metrics([step(1), step(2)])
    yield folder
    folder.let_go()


def on_ray(run: RunFolder) -> RunFolder:
    run.write_control({"host": "elsewhere"})
    return run


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("", 2, "error: which run?\nhelp: name one: gdist scale digits 4\n"),
        ("4", 2, "error: which run?\n  --> command line: 4\nhelp: gdist scale @ 4\n"),
        ("digits", 2, "error: how many workers?\n  --> command line: digits\nhelp: gdist scale digits 4\n"),
        ("digits 0", 2, "error: there cannot be 0 workers\n  --> command line: 0\nhelp: one is the least\n"),
        (
            "digits many",
            2,
            "error: `many` is no number of workers\n  --> command line: many\nhelp: a number, or least:most such as 1:8\n",
        ),
        ("digit 4", 5, f"error: no run `digit`\n  --> runs\nhelp: {NO_RUN}\n"),
    ],
)
def test_a_wrong_command_is_told_the_mend(gdist: Gdist, tmp_path: Path, words: str, code: int, message: str) -> None:
    ended = gdist("scale", *words.split(), cwd=tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", message, code)


def test_a_run_that_is_over_has_no_workers_and_one_that_was_killed_neither(gdist: Gdist, run: RunFolder) -> None:
    root = run.path.resolve().parents[1]
    mend = "  --> runs/digits\nhelp: to go on: gdist resume digits --workers N\n"
    run.let_go()
    killed = gdist("scale", "digits", "2", cwd=root)
    assert (killed.returncode, killed.stderr) == (2, f"error: run `digits` is not being trained right now\n{mend}")
    run.write_job({})
    run.write_result({"status": "done"})
    over = gdist("scale", "digits", "2", cwd=root)
    assert (over.returncode, over.stderr) == (2, f"error: run `digits` is done: it has no workers\n{mend}")


def test_a_run_without_ray_cannot_change_its_workers(gdist: Gdist, run: RunFolder) -> None:
    ended = gdist("scale", "digits", "2", cwd=run.path.resolve().parents[1])
    assert ended.returncode == 2
    first, where, note, mend = ended.stderr.splitlines()
    assert first == "error: run `digits` trains without Ray, with the workers that it has"
    assert where == "  --> runs/digits"
    assert note.startswith("note: by process ")
    assert mend == "help: end it with Ctrl-C where it was started, and: gdist resume digits --workers N"


@pytest.mark.parametrize(("asked", "mend"), [("9", "8"), ("2:9", "2:8"), ("9:12", "8")])
def test_no_more_workers_than_micro_batches(gdist: Gdist, run: RunFolder, asked: str, mend: str) -> None:
    on_ray(run)
    ended = gdist("scale", "digits", asked, cwd=run.path.resolve().parents[1])
    assert ended.returncode == 2
    most = asked.rpartition(":")[2]
    assert ended.stderr == (
        f"error: a step of run `digits` has 8 micro-batches: {most} workers cannot share them\n"
        f"  --> command line: {asked}\nhelp: at most: gdist scale digits {mend}\n"
    )


def test_it_waits_for_the_first_step_and_says_what_happens_meanwhile(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Running(on_ray(run))
    assert (running.slots, running.micro_batches) == ((0, 1), 8)

    def train() -> None:
        run.append_events([happened("worker_hired", 5, worker=2, incarnation=0), LOST])
        run.append_events([generation(2, [0, 2], joined=[2], left=[1], step=24, pause_seconds=0.3)])
        run.append_metrics([step(25, generation=2)])
        run.append_events([generation(3, [0, 1, 2], joined=[1], left=[], step=36, pause_seconds=0.08)])
        run.append_metrics([step(37, generation=3)])

    training = threading.Thread(target=train)
    training.start()
    found = running.wait(lambda asked: len(asked.now) == 3, for_what="3 workers")
    training.join()
    assert found.words() == (
        "2 -> 3 workers: worker 1 took its last step at step 24, worker 2 took its first step at step 25, "
        "worker 1 took its first step at step 37; training paused 0.38 s in all"
    )
    assert found.to_dict()["first_steps"] == {2: 25, 1: 37}
    assert "worker 1 on gpu-b lost at step 24: killed by SIGKILL\n  | loading shard 7 of 9\n" in capsys.readouterr().err


def test_a_generation_counts_once_a_step_of_it_is_taken(run: RunFolder) -> None:
    asked = Asked((0, 1), lambda asked: len(asked.now) == 4)
    running = Running(on_ray(run))
    run.append_events([generation(2, [0, 1, 2, 3], joined=[2, 3], left=[], step=811, pause_seconds=0.08)])
    asked.take(running._following.news())
    assert not asked.settled
    run.append_metrics([step(812, generation=2)])
    asked.take(running._following.news())
    assert asked.settled
    assert asked.words() == "2 -> 4 workers: workers 2 and 3 took their first step at step 812; training paused 0.08 s"


def test_what_is_there_already_is_said_at_once(run: RunFolder) -> None:
    found = Running(on_ray(run)).wait(lambda asked: len(asked.now) == 2, for_what="2 workers")
    assert found.words() == "2 workers already, nothing changes"


def test_a_run_that_ends_meanwhile_is_an_error(run: RunFolder) -> None:
    running = Running(on_ray(run))
    run.append_events([happened("finished", 9, status="done", reason="all steps taken")])
    with pytest.raises(RunFailed, match="ended before that: all steps taken"):
        running.wait(lambda asked: len(asked.now) == 3, for_what="3 workers")


def test_ctrl_c_ends_the_waiting_and_not_the_wish(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(asked: Asked) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Running(on_ray(run)).wait(interrupted, for_what="3 workers")
    assert capsys.readouterr().err == "no longer waiting for 3 workers; the wish stands\n"


def test_a_ray_that_does_not_answer_is_named_with_the_machine_to_go_to(gdist: Gdist, run: RunFolder) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        run.write_control({"host": "elsewhere", "address": address, "controller": "c", "namespace": "gdist"})
        ended = gdist("scale", "digits", "2", cwd=run.path.resolve().parents[1])
    assert ended.returncode == 5
    first, where, note, mend = ended.stderr.splitlines()
    assert first == "error: run `digits` is out of reach: no Ray cluster answers there"
    assert where == f"  --> runs/digits, Ray at {address}"
    assert note.startswith("note: ")
    assert mend == "help: give the command on elsewhere, where its controller is"
