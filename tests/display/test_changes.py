"""What a user reads of live changes: in lines, in the block, in the summary."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from gdist import records
from gdist.display.changes import paused, slots
from gdist.display.plain import PlainDisplay
from gdist.display.sentences import people, sentences
from gdist.display.standing import Standing
from gdist.display.summary import summary
from gdist.errors import CheckpointError
from gdist.records import Update
from gdist.run.folder import RunFolder
from tests.display.recorded import HIRED, KILLED, LOST, RUN, generation, happened
from tests.display.test_block import shown

ROOT = Path(__file__).resolve().parents[2]


def after(*events: dict[str, Any]) -> Standing:
    standing = Standing()
    for update in (*RUN, Update(events=list(events))):
        standing.take(update)
    return standing


def test_a_killed_worker_its_last_words_and_its_replacement_are_a_few_lines() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    for update in KILLED:
        display(update)
    said = stream.getvalue().splitlines()
    begin = said.index("worker 1 on gpu-b lost at step 24: killed by SIGKILL")
    assert said[begin + 1 : begin + 5] == [
        "  | loading shard 7 of 9",
        "worker 1 is being replaced",
        "training goes on with 1 worker from step 25; paused 0.21 s (generation 2)",
        "2 workers from step 37: worker 1 joined; paused 0.08 s (generation 3)",
    ]


def test_the_block_says_who_is_missing_since_when_and_what_the_change_cost() -> None:
    lines = shown(KILLED[:-1], now=6.5).splitlines()
    assert lines[0].endswith("1 of 2 workers   20 s left")
    assert lines[-2:] == [f"{'':40}generation       2  paused 0.21 s", " worker 1 is being replaced  1.8 s"]
    assert shown(KILLED, now=9.5).splitlines()[-1] == f"{'':40}generation       3  paused 0.08 s"
    narrow = shown(KILLED[:-1], now=6.5, width=30, unicode=False).splitlines()
    assert narrow[-2:] == [" generation       2  paused 0.", " worker 1 is being replaced  1"]


def test_who_is_sent_away_before_it_has_joined_is_waited_for_no_longer() -> None:
    def scaled(most: int) -> dict[str, Any]:
        return happened("scale", 2.0, least=most, most=most, reason="asked to scale")

    hired = [happened("worker_hired", 2.0, worker=slot, incarnation=0) for slot in (2, 3)]
    assert people(after(scaled(4), *hired)) == "2 of 4 workers"
    assert people(after(scaled(4), *hired, scaled(3))) == "2 of 3 workers"
    assert people(after(scaled(4), *hired, scaled(2))) == "2 workers"


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (happened("worker_lost", 5, worker=1), ["worker 1 lost: it died without a word"]),
        (happened("worker_lost", 5, worker=1, host="a.b.internal", cause="x"), ["worker 1 on a lost: x"]),
        (happened("worker_lost", 5, worker=1, host="10.0.0.7", cause="x"), ["worker 1 on 10.0.0.7 lost: x"]),
        (happened("worker_hired", 5, worker=2), ["worker 2 is being prepared; training goes on meanwhile"]),
        (
            happened("worker_hired", 5, worker=2, after_seconds=4),
            ["worker 2 is being prepared in 4.0 s; training goes on meanwhile"],
        ),
        (
            happened(
                "worker_refused", 5, worker=2, host="b", reason="worker 2 is not like the others: torch 2.12 (the others: 2.13)"
            ),
            ["worker 2 on b is not like the others: torch 2.12 (the others: 2.13); it is turned away"],
        ),
        (happened("worker_refused", 5, worker=2, reason="its data is gone"), ["worker 2 is turned away: its data is gone"]),
        (happened("leaving", 5, worker=1, host="b", reason="SIGTERM"), ["worker 1 on b leaves at the next step: SIGTERM"]),
        (
            happened("hung", 5, worker=1, host="b", phase="compute", step=24, seconds=3.42, allowed_seconds=2.0),
            ["worker 1 on b hangs: 3.4 s in compute at step 24, 2.0 s allowed; it is killed"],
        ),
        (happened("waiting", 5, what="room for 2 workers"), ["waiting for room for 2 workers"]),
        (happened("scale", 5, least=4, most=4), ["asked for 4 workers"]),
        (happened("scale", 5, least=1, most=8), ["asked for 1 to 8 workers"]),
        (
            happened("poisoned", 5, step=25, micro_batches=[3, 5], deaths=2, samples=["a.parquet row 7"], then="skip"),
            ["2 workers died in micro-batches 3 to 4 of step 25: left out from now on", "  | a.parquet row 7"],
        ),
        (
            happened("poisoned", 5, step=25, micro_batches=[3, 4], then="stop"),
            ["2 workers died in micro-batch 3 of step 25: the run ends"],
        ),
        (
            happened("controller", 5, workers=[0, 1], seconds=1.2),
            ["a new controller leads the run; workers 0 and 1 trained on meanwhile"],
        ),
        (
            happened("checkpoint", 5, step=24, error="disk full", safe_step=20, again_seconds=30),
            [
                "the checkpoint of step 24 failed, training goes on: disk full",
                "if it stays so, all steps after 20 would be lost with the workers; next try in 30 s",
            ],
        ),
        (
            happened("checkpoint", 5, step=24, error="disk full"),
            ["the checkpoint of step 24 failed, training goes on: disk full", "if it stays so, no step is safe yet"],
        ),
        (
            generation(2, [0, 1, 2, 3], joined=[2, 3], left=[], step=24, pause_seconds=0.003),
            ["4 workers from step 25: workers 2 and 3 joined; paused 0.01 s (generation 2)"],
        ),
        (
            generation(2, [0, 2], joined=[2], left=[1], step=24, pause_seconds=1.5),
            ["2 workers from step 25: worker 1 left, worker 2 joined; paused 1.5 s (generation 2)"],
        ),
        (
            generation(2, [0, 1], joined=[], left=[], reason="a connection broke", step=24),
            ["2 workers from step 25: a connection broke (generation 2)"],
        ),
    ],
)
def test_each_change_is_said_in_words(event: dict[str, Any], lines: list[str]) -> None:
    assert sentences(event, after()) == lines


def test_what_is_waited_for_is_said_once_and_stays_in_the_block_until_a_generation_begins() -> None:
    waiting = happened("waiting", 5, what="room for 1 worker of 2")
    standing = after(waiting)
    assert sentences(waiting, standing) == []
    assert shown([*RUN, Update(events=[waiting])]).splitlines()[-1] == " waiting for room for 1 worker of 2"
    assert after(waiting, generation(2, [0, 1])).members.waiting is None
    early = [Update(events=[happened("waiting", 1, what="room for 2 workers")])]
    assert shown(early, now=1.5) == " getting ready  1.5 s\n waiting for room for 2 workers\n"


def test_steps_that_no_checkpoint_holds_stay_in_the_block_until_one_succeeds() -> None:
    failed = happened("checkpoint", 5, step=24, error="disk full", safe_step=20)
    assert shown([*RUN, Update(events=[failed])]).splitlines()[-1] == " no checkpoint since step 20: disk full"
    assert after(failed, happened("checkpoint", 6, step=12, name="best", path="x")).members.unsaved == "disk full"
    assert after(failed, happened("checkpoint", 6, step=28, name=None, path="x")).members.unsaved is None


def test_where_a_checkpoint_could_not_be_written_stands_beside_why() -> None:
    failed = happened("checkpoint", 5, step=24, error="no space is left\n  --> /nowhere/at/all\nnote: more")
    assert sentences(failed, after())[0] == (
        "the checkpoint of step 24 failed, training goes on: no space is left (/nowhere/at/all)"
    )
    assert after(failed).members.unsaved == "no space is left"
    what = "the checkpoint of step 24 cannot be written: the storage cannot be reached"
    away = happened("checkpoint", 5, step=24, error=f"{what}\n  --> s3://bucket/runs")
    assert sentences(away, after())[0] == (
        "the checkpoint of step 24 failed, training goes on: the storage cannot be reached (s3://bucket/runs)"
    )


def test_workers_of_the_start_are_no_news() -> None:
    standing = Standing()
    assert sentences(HIRED, standing) == []
    standing.take(Update(events=[HIRED]))
    assert sentences(generation(1, [0, 1], joined=[0, 1], left=[], reason="start", step=0), standing) == []


def test_a_worker_that_dies_while_it_is_prepared_is_lost_and_no_longer_prepared() -> None:
    standing = after(LOST, HIRED, {**LOST, "step": None})
    assert (standing.members.preparing, standing.members.lost) == ({}, {1})


def test_where_nobody_is_left_it_is_said_from_which_checkpoint_the_run_goes_on_and_what_that_costs() -> None:
    standing = after(generation(4, [1], joined=[], left=[0], step=23), {**LOST, "step": 25})
    assert sentences(HIRED, standing) == ["worker 1 is being replaced; training goes on when it is ready"]
    back = {"joined": [1], "left": [1]}
    at = "nobody was left: 1 worker from the "
    assert sentences(generation(5, [1], step=20, **back), standing) == [
        f"{at}checkpoint of step 20, 4 steps back (generation 5)"
    ]
    assert sentences(generation(5, [1], step=0, **back), standing) == [
        f"{at}first step, for want of a checkpoint (generation 5)"
    ]


def test_one_that_leaves_is_not_counted_beside_the_one_that_is_prepared_for_it() -> None:
    standing = after(generation(4, [1], joined=[], left=[0], step=23), happened("leaving", 5, worker=1, reason="SIGTERM"))
    assert sentences({**HIRED, "worker": 2}, standing) == ["worker 2 is being prepared; training goes on when it is ready"]
    standing.take(Update(events=[{**HIRED, "worker": 2}]))
    assert people(standing) == "1 worker"


def test_the_summary_counts_changes_and_adds_their_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create("runs", name="digits")
    standing = Standing()
    for update in KILLED:
        standing.take(update)
    result = {"status": "done", "steps": 240, "run_dir": str(folder.path), "wall_seconds": 72.4, "workers": 2}
    lines = summary(result, standing)
    assert lines[lines.index("  time             1m12s with 2 workers") + 1] == "  worker changes   2, paused 0.29 s in all"


def test_where_the_store_is_away_the_summary_says_what_the_run_has_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(where: object) -> list[Any]:
        raise CheckpointError("the checkpoints cannot be listed")

    monkeypatch.setattr("gdist.display.summary.list_checkpoints", away)
    folder = RunFolder.create(tmp_path, name="digits")
    result = {"status": "stopped", "steps": 24, "run_dir": str(folder.path)}
    told = after(happened("checkpoint", 5, step=24, error="the store is away", safe_step=20))
    assert "  checkpoint       step 20" in summary(result, told)
    assert "  checkpoint       none" in summary(result, after())


def test_slots_and_pauses_are_short() -> None:
    assert [slots(each) for each in ([], [1], [2, 1], [0, 2, 3, 4, 7])] == [
        "nobody", "worker 1", "workers 1 and 2", "workers 0, 2 to 4 and 7",
    ]  # fmt: skip
    assert [paused(each) for each in (None, 0.001, 0.214, 1.52, 75)] == [
        "",
        "paused 0.01 s",
        "paused 0.21 s",
        "paused 1.5 s",
        "paused 1m15s",
    ]


def documented() -> set[str]:
    """The events that the docstring of gdist/records.py lists."""
    return set(re.findall(r"^    ([a-z_]+) +\S", str(records.__doc__), flags=re.MULTILINE))


def said() -> dict[str, str]:
    """The events that the code says, by name, and where."""
    found = {}
    for file in sorted((ROOT / "gdist").rglob("*.py")):
        for name in re.findall(r"""(?:\bevent|\bSay|\.say)\(\s*["']([a-z_]+)["']""", file.read_text()):
            found[name] = str(file.relative_to(ROOT))
    return found


def test_each_event_that_the_code_says_is_documented() -> None:
    assert len(said()) > 10, "the events were not found"
    missing = {name: file for name, file in said().items() if name not in documented()}
    assert not missing, f"not in the docstring of gdist/records.py: {missing}"


CHANGES: dict[str, dict[str, Any]] = {  # with the fields that are always there
    "generation": {"generation": 2, "workers": 1, "joined": [0]},
    "scale": {"least": 1, "most": 2},
    "worker_hired": {"worker": 1},
    "worker_refused": {"worker": 1, "reason": "torch"},
    "worker_lost": {"worker": 1},
    "leaving": {"worker": 1, "reason": "SIGTERM"},
    "waiting": {"what": "room"},
    "hung": {"worker": 1},
    "poisoned": {"step": 3, "micro_batches": [0, 1]},
    "controller": {"workers": [0]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_event_of_a_change_is_documented_and_shown(name: str) -> None:
    assert name in documented()
    assert sentences(happened(name, 5, **CHANGES[name]), after())
