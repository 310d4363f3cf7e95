"""Evaluating a trained run: the numbers that training found, the same at any number of workers, and those of plain torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from gdist.engine.collective import Alone
from gdist.errors import DataError, UsageError
from gdist.run.checkpoint import list_checkpoints
from gdist.run.folder import RunFolder
from gdist.run.model import read_model
from tests.ranks import run_ranks
from tests.worker.asked import ask, other_data
from tests.worker.jobs import JOBS, Trained, arrays, plain, train_job


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Trained]]:
    folder = tmp_path_factory.mktemp("runs")
    trained = {name: train_job(Alone(), name, (), str(folder / name)) for name in ("plain", "normed", "gan", "centres")}
    ended(list(trained.values()))
    for name, run in trained.items():
        RunFolder(folder / name).write_result(run.result)
    return {name: (folder / name, run) for name, run in trained.items()}


def ended(found: list[Trained]) -> list[Trained]:
    for each in found:
        assert each.error is None, each.error
    return found


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("name", ["plain", "normed", "gan", "centres"])
def test_the_held_out_rows_give_what_training_found(name: str, workers: int, runs: dict[str, tuple[Path, Trained]]) -> None:
    run_dir, run = runs[name]
    for found in ended(run_ranks(ask, workers, "evaluate", name, str(run_dir))):
        assert found.result["metrics"] == run.result["validation"]
        assert (found.result["rows"], found.result["bad"], found.result["workers"]) == (18, 0, workers)
        assert (found.result["weights"], found.result["data"]) == ("model.safetensors", "the validation rows")


def test_other_data_gives_the_numbers_of_plain_torch(runs: dict[str, tuple[Path, Trained]]) -> None:
    run_dir, _ = runs["plain"]
    model = plain()
    model.load_state_dict(read_model(run_dir))
    data = other_data()
    with torch.no_grad():
        outputs = model(data.features)
    loss = float(nn.functional.cross_entropy(outputs, data.target))
    accuracy = float((outputs.argmax(1) == data.target).double().mean())
    for workers in (1, 2, 3):
        for found in ended(
            run_ranks(
                ask,
                workers,
                "evaluate",
                "plain",
                str(run_dir),
            )
        ):
            assert found.result["rows"] == 18
    found = [ended(run_ranks(_on_other_data, n, str(run_dir)))[0].result["metrics"] for n in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    assert found[0]["loss"] == pytest.approx(loss, rel=1e-6)
    assert found[0]["accuracy"] == accuracy


def _on_other_data(collective: object, run_dir: str) -> Trained:
    return ask(collective, "evaluate", "plain", run_dir, data=other_data())  # type: ignore[arg-type]


def test_metrics_may_be_others(runs: dict[str, tuple[Path, Trained]]) -> None:
    (found,) = ended([ask(Alone(), "evaluate", "plain", str(runs["plain"][0]), metrics=["f1", "auroc"])])
    assert set(found.result["metrics"]) == {"loss", "f1", "auroc"}


def test_a_checkpoint_may_be_named(runs: dict[str, tuple[Path, Trained]]) -> None:
    run_dir, run = runs["plain"]
    evaluations = {line["step"]: line["validation"] for line in run.lines if line["kind"] == "evaluation"}
    places = list_checkpoints(RunFolder(run_dir).checkpoints)
    assert places[-1].step == 12
    for place in places:
        (found,) = ended([ask(Alone(), "evaluate", "plain", str(run_dir), checkpoint=str(place.step))])
        assert found.result["metrics"] == evaluations[place.step]
        assert found.result["weights"] == f"checkpoints/{place.path.name}"
    with pytest.raises(UsageError, match="no checkpoint `best`") as error:
        ask(Alone(), "evaluate", "plain", str(run_dir), checkpoint="best")
    assert error.value.help == f"it has: {', '.join(str(place.step) for place in places)}"


def test_data_without_a_target_is_named_as_such(runs: dict[str, tuple[Path, Trained]]) -> None:
    with pytest.raises(DataError, match="no target to compare with"):
        ask(Alone(), "evaluate", "plain", str(runs["plain"][0]), data=other_data(target=False))


def test_rows_held_out_of_other_data_than_the_runs_are_refused(
    runs: dict[str, tuple[Path, Trained]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, kept = runs["plain"][0], JOBS["plain"]
    (found,) = ended([ask(Alone(), "evaluate", "plain", str(run_dir))])
    assert found.result["rows"] == 18
    monkeypatch.setitem(JOBS, "plain", lambda: kept().replace({"data": arrays(seed=3)}))
    with pytest.raises(DataError, match="nobody knows which rows it held out"):
        ask(Alone(), "evaluate", "plain", str(run_dir))


def test_the_run_is_only_read(runs: dict[str, tuple[Path, Trained]]) -> None:
    run_dir, _ = runs["normed"]
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
    (found,) = ended([ask(Alone(), "evaluate", "normed", str(run_dir))])
    assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")} == before
    assert [event["event"] for event in found.events] == ["opened"]
    assert found.events[0]["samples"] == 18
    assert [line["kind"] for line in found.lines] == ["progress"]
