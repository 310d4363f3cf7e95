"""``gdist audit``: opens a run's data, as far as its index, and proves from the ledger that every sample was used once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gdist.data.feed import Feed
from gdist.engine.precision import Precision
from gdist.errors import DataError, UsageError
from gdist.run.audit import Audit, audit
from gdist.run.folder import RunFolder
from gdist.worker.opening import find_data, open_data

if TYPE_CHECKING:
    from gdist.job.job import Job


def audit_run(folder: RunFolder, job: Job | None = None) -> Audit:
    """``job``: of a run whose job was made in Python; else the run's own copy of its file is loaded.

    Raises UsageError where there is nothing to prove, DataError where the data has changed, RunFailed for a damaged ledger."""
    steps = _steps_taken(folder)  # before the ledger, which a run that goes on writes first
    ledger = folder.ledger()
    if not ledger.generations:
        raise UsageError(
            f"run `{folder.name}` has no ledger",
            where=str(folder.path / "ledger.jsonl"),
            help="it is written while a run trains: one that has not begun, or by an older gdist, has none",
        )
    job = job or _load(folder)
    before = folder.data()
    found = find_data(job)
    found.require_unchanged(before.get("files"))
    cpu = torch.device("cpu")
    opened = open_data(found.with_state(before.get("state") or {}), cpu, Precision(job.precision, cpu))
    try:
        told = ledger.generations[max(ledger.generations)]
        if told.get("data") != opened.fingerprint or told.get("samples") != len(opened.train):
            raise DataError(
                "the data is not what the run was trained on",
                note=f"{told.get('samples')} samples ({told.get('data')}) then, {len(opened.train)} ({opened.fingerprint}) now",
                help="put it back as it was: without it nothing can be proved",
            )
        batch_size, samples = int(told["batch_size"]), len(opened.train)
        return audit(
            ledger, _Index(opened.train), samples=samples, batch_size=batch_size, steps=max(steps, ledger.last_step)
        )  # fmt: skip
    finally:
        opened.close()


class _Index:
    """What the order and the index say should have been read; no row is read for it."""

    def __init__(self, feed: Feed) -> None:
        self.rows_at = feed.rows_at
        self.identities = feed.rows.identities
        self.place = feed.rows.place
        self.raw_rows = len(feed.rows)


def _load(folder: RunFolder) -> Job:
    from gdist.job.load import load_job

    job_file = folder.job_file()
    if job_file is None:
        raise UsageError(
            f"the job of run `{folder.name}` was made in Python and has no file",
            where=str(folder.path),
            help=f'make it again there, and: gdist.audit("{folder.name}", job=job)',
        )
    return load_job(job_file, overrides=folder.job().get("overrides", ()))


def _steps_taken(folder: RunFolder) -> int:
    """By what the run says elsewhere than in its ledger."""
    result = folder.result() or {}
    return max(int(result.get("steps") or 0), max((int(line["step"]) for line in folder.metrics("step")), default=0))
