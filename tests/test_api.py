"""``train`` from Python: a job that has no file, its result, and how it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from gdist import AdamW, GdistError, Job, Result, train
from gdist.api import launch
from gdist.errors import RunNotFound, UsageError
from gdist.records import Interrupt, Order, Update
from gdist.run.bounds import Wanted

GENERATOR = torch.Generator().manual_seed(1)
X = torch.randn(200, 8, generator=GENERATOR)
Y = (X[:, 0] > 0).long()


def net(width: int = 16) -> nn.Module:
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2))


def make(**other: object) -> Job:
    return Job(model=net, loss="cross_entropy", data=(X, Y), validation=0.2, metrics=["accuracy"], batch_size=32, **other)


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(tmp_path)
    return train(make(epochs=2, exact=True), local=True, name="first", show=False)


def test_a_result_has_status_losses_metrics_and_the_weights(first: Result) -> None:
    assert (first.status, first.steps, first.epochs, first.path) == ("done", 10, 2.0, Path("runs/first"))
    assert first.validation is not None
    assert set(first.validation) == {"loss", "accuracy"}
    table = first.metrics()
    assert table.column("step").to_pylist() == list(range(1, 11))
    assert {"loss", "lr", "grad_norm", "samples", "seconds.forward"} <= set(table.column_names)
    state = first.model_state()
    assert net().load_state_dict(state)
    assert repr(first).startswith("<Result done, 10 steps, train.loss=0.")


def test_a_job_made_in_python_goes_on_by_python_and_is_the_uninterrupted_one(first: Result) -> None:
    resumed = train(make(epochs=4, exact=True), resume="first", local=True, show=False)
    whole = train(make(epochs=4, exact=True), local=True, name="whole", show=False)
    assert resumed.path == first.path
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.metrics().column("loss") == whole.metrics().column("loss")


def test_the_same_job_can_be_gone_on_with_by_overrides(first: Result) -> None:
    resumed = train(make(epochs=2, exact=True), resume=first.path, overrides=["epochs=3"], local=True, show=False)
    assert resumed.steps == 15


def test_another_model_is_not_the_runs_own(first: Result) -> None:
    with pytest.raises(UsageError, match="`model_args` cannot change in the middle of a run"):
        train(make(epochs=4, exact=True, model_args={"width": 8}), resume="first", local=True, show=False)


def test_a_job_without_a_file_must_be_made_again(first: Result) -> None:
    with pytest.raises(UsageError, match="was made in Python and has no file") as caught:
        train(resume="first", local=True, show=False)
    assert caught.value.help == 'make it again there, and: train(job, resume="first")'


def test_there_is_something_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="what should be trained"):
        train()
    with pytest.raises(RunNotFound):
        train(resume="nothing")


def test_a_function_watches_what_displays_would_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    updates: list[Update] = []
    train(make(epochs=1), local=True, show=updates.append, overrides=["optimizer.lr=0.5"])
    assert [line["lr"] for update in updates for line in update.lines if line["kind"] == "step"] == [0.5] * 5
    assert [event["event"] for update in updates for event in update.events][-1] == "finished"


def test_shown_as_lines_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train(make(epochs=1), local=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "job in runs/job: 178 parameters, 160 samples (40 to validate), 5 steps in 1 epoch"
    assert lines[-1].startswith("step 5/5  training loss ")


def test_a_failure_is_an_exception_with_the_users_own_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def bad_loss(model: nn.Module, batch: object) -> torch.Tensor:
        raise ValueError("mine")

    with pytest.raises(GdistError) as caught:
        train(Job(model=net, loss=bad_loss, data=(X, Y), optimizer=AdamW(), epochs=1), local=True, show=False)
    assert caught.value.note == "ValueError: mine"
    assert "in bad_loss: " in (caught.value.where or "")


@pytest.mark.parametrize(
    ("workers", "where", "what"),
    [
        ("8:1", "--workers 8:1", "at least 8 and at most 1 workers contradict each other"),
        ((0, 2), "--workers 0:2", "there cannot be 0 workers"),
        ("many", "--workers many", "`many` is no number of workers"),
    ],
)
def test_bounds_of_workers_are_refused_before_anything_is_started(workers: Wanted, where: str, what: str) -> None:
    with pytest.raises(UsageError) as refused:
        train(make(), workers=workers, show=False)
    assert (refused.value.where, refused.value.what) == (where, what)


def test_what_only_reads_a_run_has_the_same_workers_until_its_end() -> None:
    order = Order(purpose="evaluate", run_dir="runs/first")
    with pytest.raises(UsageError, match="evaluate has the same workers until its end") as refused:
        launch(order, workers="1:4", address=None, local=False, watch=lambda _: None, interrupt=Interrupt())
    assert refused.value.help == "as many as there are at most: --workers 4"
