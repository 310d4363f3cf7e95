"""Jobs that tempt the engine to break a promise: each is right, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gdist.data.batch import Batch
from gdist.engine.collective import Alone, Collective
from gdist.errors import JobError, UserCodeError
from gdist.job import Callback, Job
from gdist.job.overrides import apply_overrides
from gdist.run.model import read_model
from gdist.task.task import Descend, Gather, Loss
from tests.ranks import run_ranks
from tests.worker import jobs
from tests.worker.jobs import COMMON, Adversaries, Centres, Trained, arrays, network, plain, train_job


class CentredInTraining(nn.Module):
    """Normalizes over the batch by hand, and only while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x)
        return (h - h.mean(0)) if self.training else h


class Counting(nn.Module):
    """Counts its forwards, in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(x) + 0.001 * self.calls


class Rebinding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        return h - self.mean


def contrast(model: nn.Module, batch: Batch) -> Tensor:
    h = nn.functional.normalize(model(batch.features), dim=1)
    return 1e-4 * nn.functional.cross_entropy(h @ h.T, torch.arange(batch.rows))


def masked(model: nn.Module, batch: Batch) -> Loss:
    """The usual masked mean: 0/0 where no sample of a micro-batch counts."""
    mask = batch.features[:, 1] > 1.0
    losses = nn.functional.cross_entropy(model(batch.features), batch.target, reduction="none")
    return Loss((losses * mask).sum() / mask.sum(), weight=mask.sum())


def shifting_names(model: nn.Module, batch: Batch) -> Loss:
    loss = nn.functional.cross_entropy(model(batch.features), batch.target)
    return Loss(loss, log={"odd" if batch.rows % 2 else "even": 1.0})


class SecondFails(Adversaries):
    """The generator's loss is not finite in some steps, after the judge's update was made."""

    def generator_loss(self, batch: Batch) -> Tensor:
        loss = super().generator_loss(batch)
        return loss * (float("nan") if bool((batch.features[:, 0] > 2.0).any()) else 1.0)


class SameNames(Adversaries):
    def cycle(self) -> list[Descend | Gather]:
        return [Descend(loss=self.judge_loss, parameters=list(self.judge.parameters())), Descend(loss=self.generator_loss)]


class GatherFirst(Centres):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.module.layer = nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 4))

    def cycle(self) -> list[Descend | Gather]:
        return [Gather(name="assign", contribute=self.contribute, apply=self.move), Descend(name="train", loss=self.loss)]

    def contribute(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        self.module.layer(batch.features)
        return super().contribute(batch, rng)

    def loss(self, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(self.module.layer(batch.features), batch.target)


class FailsAtTheEnd(Callback):
    def on_end(self, result: dict[str, Any], wishes: Any) -> None:
        raise ValueError("too late")


def _job(**fields: Any) -> Any:
    return lambda: Job(**{"data": arrays(), "loss": "cross_entropy", **COMMON, **fields})


MORE = {
    "centred": _job(model=CentredInTraining),
    "counting": _job(model=Counting),
    "rebinding": _job(model=Rebinding),
    "contrast": _job(model=plain, loss=contrast, micro_batches=6),
    "contrast-rows": _job(model=plain, loss=contrast, micro_batches=24),
    "masked": _job(model=plain, loss=masked),
    "names": _job(model=plain, loss=shifting_names, batch_size=5, micro_batches=3, merge=False),
    "second-fails": _job(task=SecondFails, loss=None, non_finite="skip", batch_size=8, micro_batches=4, ema=0.9),
    "same-names": _job(task=SameNames, loss=None),
    "gather-first": _job(task=GatherFirst, loss=None),
    "fails-at-the-end": _job(model=plain, callbacks=[FailsAtTheEnd()]),
    "tail": _job(model=network, data=tuple(t[:74] for t in arrays()), validation=None, micro_batches=3),
}
jobs.JOBS.update(MORE)


def _train(collective: Collective, name: str, *overrides: str) -> Trained:
    jobs.JOBS.update(MORE)  # in a rank's process, which imported this module just now
    return train_job(collective, name, overrides)


@pytest.mark.parametrize(
    "name", ["centred", "counting", "contrast", "contrast-rows", "masked", "second-fails", "gather-first", "tail"]
)
def test_a_tempting_job_is_the_same_at_any_worker_count(name: str) -> None:
    found = {size: run_ranks(_train, size, name, "precision=fp64", "hash_every=1") for size in (1, 2, 3)}
    alone = found[1][0]
    assert alone.error is None, alone.error
    for runs in found.values():
        assert runs[0].error is None, runs[0].error
        np.testing.assert_allclose(runs[0].losses(), alone.losses(), rtol=1e-9)


def test_a_step_whose_second_update_is_not_finite_changes_nothing() -> None:
    run = run_ranks(_train, 1, "second-fails", "epochs=1")[0]
    skipped = [line["skipped"] for line in run.lines if line["kind"] == "step"]
    assert any(skipped)
    assert not all(skipped)
    job = apply_overrides(MORE["second-fails"](), ["epochs=1"])
    first_bad = skipped.index(True)
    before = run_ranks(_train, 1, "second-fails", f"steps={first_bad}")[0] if first_bad else None
    after = run_ranks(_train, 1, "second-fails", f"steps={first_bad + 1}")[0]
    assert job.non_finite == "skip"
    if before is not None:
        assert after.result["weights_sha256"] == before.result["weights_sha256"]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("rebinding", "forward replaces the buffer mean by another tensor"),
        ("same-names", "two phases are called 'train'"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(name: str, what: str) -> None:
    with pytest.raises(JobError) as caught:
        _train(Alone(), name)
    assert caught.value.what == what


def test_different_logged_names_in_one_step_are_refused() -> None:
    run = _train(Alone(), "names")
    assert isinstance(run.error, JobError)
    assert "different names" in run.error.what


def test_the_best_averages_come_back_and_the_result_is_theirs(tmp_path: Path) -> None:
    overrides = ("stop.restore_best=true", "optimizer.lr=0.3", "epochs=6", "ema=0.5")
    run = train_job(Alone(), "normed", overrides, str(tmp_path / "run"))
    assert run.error is None
    best = min(run.named("evaluation"), key=lambda e: e["validation"]["loss"])
    assert best["step"] < run.result["steps"], "the run must get worse for the test to say anything"
    assert run.result["validation"] == best["validation"]
    again = train_job(Alone(), "normed", (*overrides[1:2], f"steps={best['step']}", "ema=0.5"), str(tmp_path / "again"))
    for name, tensor in read_model(tmp_path / "again" / "model.safetensors").items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(tensor, read_model(tmp_path / "run" / "model.safetensors")[name])
    assert again.error is None


def test_an_average_that_begins_at_a_resume_begins_at_the_trained_weights(tmp_path: Path) -> None:
    part = train_job(Alone(), "plain", ("steps=9",), str(tmp_path / "run"))
    rest = train_job(Alone(), "plain", ("steps=10", "ema=0.99999"), str(tmp_path / "run"), resume=True)
    assert rest.result["validation"]["loss"] == pytest.approx(part.result["validation"]["loss"], rel=1e-3)


def test_a_wish_to_stop_does_not_move_the_stopping_rules(tmp_path: Path) -> None:
    rules = ("stop.patience=2", "optimizer.lr=0.2", "epochs=12", "exact=true")
    whole = train_job(Alone(), "normed", rules, str(tmp_path / "whole"))
    for at in (4, 5):
        folder = tmp_path / f"part-{at}"
        train_job(Alone(), "normed", (*rules[:2], rules[3], f"steps={at}"), str(folder))
        rest = train_job(Alone(), "normed", rules, str(folder), resume=True)
        assert rest.result["steps"] == whole.result["steps"]
        assert rest.result["weights_sha256"] == whole.result["weights_sha256"]
    torch.use_deterministic_algorithms(False)


def test_an_optimizer_with_other_state_starts_fresh(tmp_path: Path) -> None:
    train_job(Alone(), "plain", ("steps=4",), str(tmp_path / "run"))
    rest = train_job(Alone(), "plain", ("optimizer.amsgrad=true",), str(tmp_path / "run"), resume=True)
    assert rest.error is None
    assert any("fresh state" in e["text"] for e in rest.named("explained"))


def test_an_error_after_the_last_step_is_told_as_it_is(tmp_path: Path) -> None:
    run = train_job(Alone(), "fails-at-the-end", (), str(tmp_path / "run"))
    assert isinstance(run.error, UserCodeError)
    assert "too late" in str(run.error.note)


def test_a_shape_that_does_not_fit_names_the_module() -> None:
    jobs.JOBS["misfit"] = _job(model=lambda: nn.Sequential(nn.Linear(12, 8), nn.Linear(9, 4)))
    with pytest.raises(UserCodeError) as caught:
        _train(Alone(), "misfit")
    assert caught.value.where == "module Linear(in_features=9, out_features=4, bias=True)"
    assert "mat1 and mat2 shapes cannot be multiplied" in str(caught.value.note)
