"""Runs at 1 to 4 workers are proved to have used every sample once; a reader that loses or doubles one is found out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gdist.data.batch import Batch
from gdist.data.source import Source
from gdist.data.tensors import TensorRows
from gdist.engine.collective import Collective
from gdist.errors import DataError
from gdist.job import Job
from gdist.job.overrides import apply_overrides
from gdist.records import Update
from gdist.run.audit import Audit
from gdist.run.checkpoint import list_checkpoints
from gdist.run.folder import RunFolder
from gdist.run.ledger import STEP
from gdist.worker.audit import audit_run
from gdist.worker.outbox import Outbox
from tests.ranks import run_ranks
from tests.worker.jobs import COMMON, JOBS, Trained, arrays, plain, train_job

VICTIM = 17  # a row that trains


class Doctored(Source):
    """``how``: what becomes of the row VICTIM without a word: lost, doubled, or replaced by row 0; "bad": it is left out as a
    bad row; "half bad": so are all odd rows; "rotten": all rows."""

    how: str

    def open(self) -> TensorRows:
        x, y = arrays()
        return DoctoredRows({"features": x, "target": y}, self.how)


class DoctoredRows(TensorRows):
    def __init__(self, tensors: dict[str, torch.Tensor], how: str) -> None:
        super().__init__(tensors)
        self._how = how

    def take(self, rows: np.ndarray) -> Batch:
        victim = {"half bad": rows % 2 == 1, "rotten": rows >= 0}.get(self._how, rows == VICTIM)
        if self._how == "lost":
            rows = rows[~victim]
        elif self._how == "doubled":
            rows = np.concatenate([rows, rows[victim]])
        elif self._how == "replaced":
            rows = np.where(victim, 0, rows)
        elif self._how in ("bad", "half bad", "rotten"):
            batch = super().take(rows[~victim])
            batch.stamp = super().take(rows).stamp
            batch.bad = int(victim.sum())
            return batch
        return super().take(rows)


def _train(collective: Collective, name: str, overrides: tuple[str, ...], run_dir: str, resume: bool = False) -> Trained:
    for how in ("lost", "doubled", "replaced", "bad", "half bad", "rotten"):
        JOBS[how] = lambda how=how: Job(model=plain, loss="cross_entropy", data=Doctored(how=how), **COMMON)
    return train_job(collective, name, overrides, run_dir, resume)


def _proved(name: str, run_dir: Path, overrides: tuple[str, ...] = ()) -> Audit:
    return audit_run(RunFolder(run_dir), apply_overrides(JOBS[name](), overrides))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["plain", "normed", "gan", "centres"])
@pytest.mark.parametrize("exact", [False, True])
def test_every_sample_is_used_once_at_any_worker_count(name: str, size: int, exact: bool, tmp_path: Path) -> None:
    overrides = (f"exact={exact}", "micro_batches=4")
    runs = run_ranks(_train, size, name, overrides, str(tmp_path / "run"))
    assert [run.error for run in runs] == [None] * size
    found = _proved(name, tmp_path / "run", overrides)
    assert (found.lost, found.doubled) == (0, 0)
    assert [(e.samples, e.used, e.rolled_back, e.finished) for e in found.epochs] == [(72, 72, 0, True)] * 4


@pytest.mark.parametrize("exact", [False, True])
def test_a_resumed_run_with_another_worker_count_is_proved(exact: bool, tmp_path: Path) -> None:
    overrides = (f"exact={exact}", "micro_batches=4", "checkpoint_every=2")
    run = tmp_path / "run"
    run_ranks(_train, 2, "normed", (*overrides, "steps=8"), str(run))
    shutil.rmtree(next(place.path for place in list_checkpoints(RunFolder(run).checkpoints) if place.step == 8))
    newest = max(place.step for place in list_checkpoints(RunFolder(run).checkpoints))
    run_ranks(_train, 3, "normed", overrides, str(run), True)
    found = _proved("normed", run, overrides)
    assert (found.lost, found.doubled) == (0, 0)
    again = range(newest + 1, 9)  # a busy machine's writer may have passed over a checkpoint
    assert [(e.used, e.rolled_back) for e in found.epochs] == [
        (72, 24 * sum((step - 1) // 3 == epoch for step in again)) for epoch in range(4)
    ]
    rolled_back = RunFolder(run).ledger().rolled_back.values()
    assert sorted({step for spans in rolled_back for step in spans[:, STEP].tolist()}) == list(again)


def test_skipped_steps_are_told_apart(tmp_path: Path) -> None:
    run_ranks(_train, 2, "exploding", ("non_finite=skip",), str(tmp_path / "run"))
    found = _proved("exploding", tmp_path / "run")
    skipped = sum(line["skipped"] for line in RunFolder(tmp_path / "run").metrics("step"))
    assert sum(e.unapplied for e in found.epochs) == 24 * skipped > 0
    assert sum(e.used for e in found.epochs) == 72 * 4 - 24 * skipped
    assert (found.lost, found.doubled) == (0, 0)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("how", "kinds"), [("lost", ["lost"]), ("doubled", ["doubled"]), ("replaced", ["lost", "doubled"]), ("bad", [])]
)
def test_a_reader_that_changes_what_it_reads_is_found_out(how: str, kinds: list[str], size: int, tmp_path: Path) -> None:
    runs = run_ranks(_train, size, how, ("micro_batches=6", "epochs=2"), str(tmp_path / "run"))
    assert [run.error for run in runs] == [None] * size
    JOBS[how] = lambda: Job(model=plain, loss="cross_entropy", data=Doctored(how=how), **COMMON)
    found = _proved(how, tmp_path / "run", ("micro_batches=6", "epochs=2"))
    for epoch in found.epochs:
        assert [fault.kind for fault in epoch.faults] == kinds
        assert [fault.row for fault in epoch.faults] == [
            {"lost": VICTIM, "doubled": VICTIM if how == "doubled" else 0}[k] for k in kinds
        ]
        assert (epoch.lost, epoch.doubled) == (kinds.count("lost"), kinds.count("doubled"))
        assert epoch.bad == (how == "bad")


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_run_with_passes_of_which_no_row_is_left_is_proved(size: int, exact: bool, tmp_path: Path) -> None:
    """Of micro-batches of one sample every second one is empty, the one with which the model is tried may be."""
    overrides = ("batch_size=4", "micro_batches=4", f"exact={exact}", "merge=false", "epochs=2")
    runs = run_ranks(_train, size, "half bad", overrides, str(tmp_path / "run"))
    assert [run.error for run in runs] == [None] * size
    JOBS["half bad"] = lambda: Job(model=plain, loss="cross_entropy", data=Doctored(how="half bad"), **COMMON)
    for epoch in _proved("half bad", tmp_path / "run", overrides).epochs:
        assert (epoch.lost, epoch.doubled) == (0, 0)
        assert epoch.used + epoch.bad == 72
        assert epoch.bad > 20


def test_data_of_which_every_row_is_bad_says_so(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="every row of the training data is bad"):
        run_ranks(_train, 1, "rotten", (), str(tmp_path / "run"))


def test_other_data_is_refused(tmp_path: Path) -> None:
    run_ranks(_train, 1, "plain", (), str(tmp_path / "run"))
    job = Job(model=plain, loss="cross_entropy", data=arrays(seed=1), **COMMON)
    with pytest.raises(DataError, match="not what the run was trained on"):
        audit_run(RunFolder(tmp_path / "run"), job)


def test_a_survivor_says_what_the_lost_leader_kept_silent(tmp_path: Path) -> None:
    """The leader's first words arrive, the steps after them do not; a survivor speaks, and the run goes on from there."""
    run = RunFolder.create(name="x", run_dir=tmp_path / "run")
    updates: list[Update] = []
    leader, survivor = (Outbox(updates.append, slot=slot) for slot in (0, 1))
    reads = np.array([[0, 4, 1, 1, 4, 0]], dtype=np.float64)
    for outbox in (leader, survivor):
        outbox.begin(generation=1, samples=72, batch_size=24, data="f")
    for step in range(1, 6):
        for outbox in (leader, survivor):
            outbox.entry((step, 1, True, reads))
        if step == 3:
            leader.flush()
    survivor.flush()  # says nothing yet
    survivor.lead()
    survivor.flush()
    assert len(updates) == 2
    for update in updates:
        run.append_ledger(update.ledger)
    assert run.ledger().spans[1][:, STEP].tolist() == [1, 2, 3, 4, 5]
    assert not run.ledger().rolled_back
