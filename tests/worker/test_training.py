"""What a run does between its steps: evaluations, stopping rules, skipped steps, checkpoints, resuming."""

from pathlib import Path

import pytest
import torch

from gdist.engine.collective import Alone
from gdist.errors import CheckpointError, JobError, NonFinite
from gdist.job.overrides import apply_overrides
from gdist.records import Order, Wishes
from gdist.run.checkpoint import list_checkpoints
from gdist.run.folder import RunFolder
from gdist.worker.member import Member
from tests.ranks import run_ranks
from tests.worker.jobs import JOBS, Trained, train_job


@pytest.fixture(autouse=True)
def _nondeterminism_allowed() -> object:
    yield
    torch.use_deterministic_algorithms(False)


def _train(name: str, *overrides: str, run_dir: Path | None = None, resume: bool = False) -> Trained:
    run = train_job(Alone(), name, overrides, str(run_dir) if run_dir else None, resume)
    return run


@pytest.mark.parametrize("name", ["plain", "normed", "gan"])
@pytest.mark.parametrize("at", [1, 4, 7])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(name: str, at: int, tmp_path: Path) -> None:
    whole = _train(name, "exact=true", run_dir=tmp_path / "whole")
    part = _train(name, "exact=true", f"steps={at}", run_dir=tmp_path / "part")
    rest = _train(name, "exact=true", run_dir=tmp_path / "part", resume=True)
    assert rest.error is None
    assert part.losses() + rest.losses() == whole.losses()
    assert rest.result["weights_sha256"] == whole.result["weights_sha256"]
    assert rest.result["validation"] == whole.result["validation"]


def test_a_resumed_run_may_have_another_worker_count(tmp_path: Path) -> None:
    whole = _train("normed", "exact=true", run_dir=tmp_path / "whole")
    run_ranks(train_job, 2, "normed", ("exact=true", "steps=5"), str(tmp_path / "part"))
    rest = run_ranks(train_job, 3, "normed", ("exact=true",), str(tmp_path / "part"), True)
    assert {run.result["weights_sha256"] for run in rest} == {whole.result["weights_sha256"]}


def test_a_changed_optimizer_starts_fresh_and_says_so(tmp_path: Path) -> None:
    _train("plain", "steps=4", run_dir=tmp_path / "run")
    rest = _train("plain", "optimizer=sgd", run_dir=tmp_path / "run", resume=True)
    assert any("fresh state" in e["text"] for e in rest.named("explained"))


def test_a_run_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    folder = RunFolder.create(name="x", run_dir=tmp_path / "run")
    run = _train("plain", run_dir=folder.path, resume=True)
    assert isinstance(run.error, CheckpointError)
    assert "no checkpoint to go on from" in run.error.what


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("stop.loss_below=100",), "below 100"),
        (("stop.tolerance=1000",), "changed by less than 1000"),
        (("stop.patience=1", "stop.metric=validation.accuracy", "optimizer.lr=1e-9", "epochs=9"), "has not improved for 1"),
        (("stop.wall_seconds=1e-9",), "are over"),
    ],
)
def test_each_stopping_rule_ends_the_run_as_done(overrides: tuple[str, ...], reason: str) -> None:
    run = _train("plain", *overrides)
    assert run.error is None
    assert run.result["status"] == "done"
    assert reason in run.result["reason"]
    assert run.result["steps"] < 12 or "epochs=9" in overrides


def test_the_best_weights_come_back(tmp_path: Path) -> None:
    run = _train("normed", "stop.restore_best=true", "optimizer.lr=0.3", "epochs=6", run_dir=tmp_path / "run")
    losses = [e["validation"]["loss"] for e in run.named("evaluation")]
    best = min(range(len(losses)), key=losses.__getitem__)
    (kept,) = [p for p in list_checkpoints(tmp_path / "run" / "checkpoints") if p.name == "best"]
    assert kept.step == run.named("evaluation")[best]["step"]
    assert best < len(losses) - 1, "the run must get worse for the test to say anything"
    assert any(f"step {kept.step}" in e["text"] for e in run.named("explained"))


def test_a_loss_that_is_not_finite_stops_and_names_the_samples(tmp_path: Path) -> None:
    for size in (1, 2):
        run = run_ranks(train_job, size, "exploding", ("epochs=1", "batch_size=8"))[0]
        assert isinstance(run.error, NonFinite)
        assert "positions" in str(run.error.where)


def test_skipped_steps_leave_the_weights_alone_and_are_bounded() -> None:
    runs = [run_ranks(train_job, size, "exploding", ("non_finite=skip", "batch_size=8"))[0] for size in (1, 3)]
    skipped = [[line["skipped"] for line in run.lines if line["kind"] == "step"] for run in runs]
    assert skipped[0] == skipped[1]
    assert any(skipped[0])
    assert not all(skipped[0])
    bounded = run_ranks(train_job, 1, "exploding", ("non_finite=skip", "non_finite_limit=1"))[0]
    assert isinstance(bounded.error, NonFinite)
    assert "1 times in a row" in bounded.error.what


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_keeps_float32_weights_and_agrees_over_workers(precision: str) -> None:
    runs = run_ranks(train_job, 2, "plain", (f"precision={precision}",))
    assert runs[0].result["weights_sha256"] == runs[1].result["weights_sha256"]
    full = run_ranks(train_job, 1, "plain")[0]
    assert runs[0].losses()[0] == pytest.approx(full.losses()[0], rel=2e-2)


def test_recomputed_activations_give_the_same_bits() -> None:
    kept, again = (_train("normed", "exact=true", "model.dropout=0.3", f"recompute={what}") for what in ("none", "blocks"))
    assert again.error is None
    assert again.result["weights_sha256"] == kept.result["weights_sha256"]


def test_the_average_of_the_weights_is_the_result() -> None:
    plain, averaged = (_train("plain", *ema) for ema in ((), ("ema=0.9",)))
    assert averaged.losses() == plain.losses()
    assert averaged.result["weights_sha256"] != plain.result["weights_sha256"]
    assert averaged.result["validation"] != plain.result["validation"]


def test_more_workers_than_micro_batches_are_refused() -> None:
    run = run_ranks(train_job, 3, "plain", ("micro_batches=2",))[0]
    assert isinstance(run.error, JobError)
    assert run.error.what == "3 workers cannot share 2 micro-batches"


def test_exact_bits_do_not_depend_on_how_many_threads_the_machine_would_give() -> None:
    before = torch.get_num_threads()
    job = apply_overrides(JOBS["plain"](), ("exact=true", "threads=none"))
    member = Member(Order(job=job), slot=0, send=lambda update: None, wishes=Wishes(), threads=4)
    member.prepare()
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
