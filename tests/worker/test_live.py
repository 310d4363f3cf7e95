"""Workers die, leave and join while a run trains: nothing is lost or doubled, and the weights are those of a quiet run."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from gdist.job.overrides import apply_overrides
from gdist.membership import events as ev
from gdist.run.checkpoint import list_checkpoints
from gdist.run.model import read_model
from gdist.worker.audit import audit_run
from tests.worker import live_jobs
from tests.worker.live import Live


@functools.cache
def quiet(job: str, *overrides: str) -> Live:
    """The same run on one worker that nobody disturbs."""
    return Live(job, Path(tempfile.mkdtemp()), *overrides, workers=1).train()


def require_as_quiet(run: Live) -> None:
    """Nothing of the run differs from the quiet one but who computed it."""
    still = quiet(run.job, *run.overrides)
    assert run.error is None, run.error
    assert run.result is not None
    assert still.result is not None
    assert _told(run.lines) == _told(still.lines)
    for key in ("weights_sha256", "steps", "train", "validation", "test", "reason", "status", "bad_rows"):
        assert str(run.result[key]) == str(still.result[key]), key
    for name in ("started", "evaluation", "stopping"):
        assert _steps(run.events, name) == _steps(still.events, name), name
    job = apply_overrides(live_jobs.JOBS[run.job](), run.overrides)
    proved = audit_run(run.folder, job)
    assert proved.to_dict()["proved"], proved
    models = [read_model(each.folder.model) for each in (run, still)]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[1]), "the model's file is another"


def _told(lines: list[dict[str, Any]]) -> list[str]:
    """As text: a nan is the same as another."""
    different = ("workers", "generation", "seconds", "time")
    return [str({key: value for key, value in line.items() if key not in different}) for line in lines]


def _steps(events: list[dict[str, Any]], name: str) -> list[int]:
    return [e["step"] for e in events if e["event"] == name]


# -- crashes --


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("point", ["step_begin", "before_reduce", "after_reduce", "after_update", "boundary"])
def test_a_worker_killed_in_a_step(point: str, victim: int, tmp_path: Path) -> None:
    require_as_quiet(Live("normed", tmp_path, faults={victim: f"{point}:kill:step=5"}).train())


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("point", ["before_reduce", "after_reduce", "after_update"])
def test_a_worker_killed_in_each_update_of_a_step(point: str, phase: int, tmp_path: Path) -> None:
    require_as_quiet(Live("gan", tmp_path, workers=3, faults={1: f"{point}:kill:step=5:phase={phase}"}).train())


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("point", ["evaluate", "checkpoint"])
def test_a_worker_killed_between_steps(point: str, victim: int, tmp_path: Path) -> None:
    require_as_quiet(Live("normed", tmp_path, faults={victim: f"{point}:kill:step=6"}).train())


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("point", ["best", "flush", "restore", "conclude", "test"])
def test_a_worker_killed_as_the_run_ends(point: str, victim: int, tmp_path: Path) -> None:
    require_as_quiet(Live("best", tmp_path, faults={victim: f"{point}:kill"}).train())


def test_two_die_together_and_one_as_the_next_generation_forms(tmp_path: Path) -> None:
    faults = {0: "before_reduce:kill:step=5", 1: "before_reduce:kill:step=5", 2: "connected:kill:generation=2"}
    require_as_quiet(Live("normed", tmp_path, workers=4, faults=faults).train())


def test_all_die_and_those_who_are_hired_take_up_the_checkpoint(tmp_path: Path) -> None:
    faults = {0: "before_reduce:kill:step=8", 1: "before_reduce:kill:step=8"}
    run = Live("normed", tmp_path, faults=faults, hires=True).train()
    assert run.result is not None
    assert run.result["weights_sha256"] == quiet("normed").result["weights_sha256"]  # type: ignore[index]
    assert [form.restore for form in run.formed] == [False, True]


@pytest.mark.parametrize("point", ["learn", "learned_share"])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_killed_while_they_learn_of_the_data(point: str, victim: int, tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    live_jobs.write_table(table, seed=victim)
    faults = {victim: f"{point}:kill"}
    require_as_quiet(Live("table", tmp_path, f"data.path={table}", workers=3, faults=faults, hires=True).train())


# -- stopped, raised --


@pytest.mark.parametrize("point", ["before_reduce", "evaluate"])
def test_a_worker_that_is_stopped_holds_the_others_up_until_it_is_killed(point: str, tmp_path: Path) -> None:
    run = Live("normed", tmp_path, workers=3, faults={1: f"{point}:stop:step=6"})
    run.until(lambda: not run.silent(), "the worker's stop")
    run.kill(1)
    require_as_quiet(run.train())


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("point", ["before_reduce", "after_update", "evaluate", "test"])
def test_an_error_of_a_workers_own_ends_the_run_with_the_last_good_step_saved(point: str, victim: int, tmp_path: Path) -> None:
    at = "" if point == "test" else ":step=6"
    run = Live("plain", tmp_path, faults={victim: f"{point}:raise{at}"}).train()
    assert run.error is not None
    assert f"injected at {point}" in str(run.error)
    newest = max(list_checkpoints(run.folder.checkpoints), key=lambda place: place.step)
    assert newest.step == {"before_reduce": 5, "after_update": 6, "evaluate": 6, "test": 12}[point]


# -- handover --


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("victim", ["source", "joiner"])
@pytest.mark.parametrize("point", ["handover", "handover_message", "level", "entered"])
def test_a_worker_killed_as_the_state_is_handed_over(point: str, victim: str, planned: bool, tmp_path: Path) -> None:
    """Of two workers one is the source, or the one that joins them; they change by plan, or since a third is lost."""
    faults = {0 if victim == "source" else 2: f"{point}:kill:generation=2"}
    if not planned:
        faults[1] = "before_reduce:kill:step=5"
    run = Live("gan", tmp_path, workers=2, hires=True, gate=4, faults=faults)
    run.until(run.reached.is_set, "step 4")
    run.happened(ev.Scale(2, 3))
    run.until(lambda: len(run.formed) == 2 if planned else run.stands(2, "ready"), "a prepared joiner")
    run.open()
    require_as_quiet(run.train())


# -- changes --


@pytest.mark.parametrize("job", ["normed", "gan", "centres", "best"])
def test_a_worker_joins_and_the_first_one_leaves(job: str, tmp_path: Path) -> None:
    run = Live(job, tmp_path, workers=1, hires=True, gate=4)
    run.until(run.reached.is_set, "step 4")
    run.happened(ev.Scale(2, 2))
    run.until(lambda: len(run.formed) == 2, "a prepared joiner")
    run.open()
    run.until(lambda: run.stands(1, "training"), "its first generation")
    require_as_quiet(run.train())
    assert [form.workers for form in run.formed] == [((0, 0),), ((0, 0), (1, 0))]


def test_a_change_breaks_an_evaluation_off_and_the_next_generation_makes_it(tmp_path: Path) -> None:
    run = Live("slow", tmp_path, workers=2, hires=True)
    run.until(lambda: bool(run.lines), "the first steps")
    run.happened(ev.Scale(3, 3))
    require_as_quiet(run.train())
    changed = [e["step"] for e in run.events if e["event"] == "generation"][1]
    assert changed in _steps(run.events, "evaluation"), "the change came before an evaluation's end"


@pytest.mark.parametrize("job", ["normed", "slow"])
def test_all_are_drained_and_others_go_on(job: str, tmp_path: Path) -> None:
    run = Live(job, tmp_path, workers=2, hires=True, gate=4)
    run.until(run.reached.is_set, "step 4")
    for slot in (0, 1):
        run.happened(ev.Leaving(slot, 0, reason="its machine goes away"))
    run.until(lambda: len(run.formed) == 2, "those who come next")
    run.open()
    require_as_quiet(run.train())
    assert not {(0, 0), (1, 0)} & set(run.formed[-1].workers)
