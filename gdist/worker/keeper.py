"""Checkpoints of a worker's run: what goes into one, how a run is taken up from it, and what may have changed meanwhile."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.errors import CheckpointError, JobError
from gdist.run.checkpoint import Checkpoint, list_checkpoints, named_checkpoint, newest_checkpoint, read_checkpoint
from gdist.run.checkpoint_writer import CheckpointWriter

if TYPE_CHECKING:
    from gdist.worker.build import Built
    from gdist.worker.outbox import Outbox
    from gdist.worker.progress import Progress
    from gdist.worker.stopping import StopRules

FLUSH_S = 120.0


class Keeper:
    """Writes through a thread while training goes on. ``folder``: the run's checkpoints; None keeps nothing."""

    def __init__(self, folder: Path | None, *, keep: int) -> None:
        self.folder = folder
        self._keep = keep
        self._writer: CheckpointWriter | None = None

    def save(
        self, built: Built, progress: Progress, rules: StopRules, *, seconds: float, name: str | None = None, wait: bool = False
    ) -> None:
        if self.folder is None:
            return
        if self._writer is None:  # only one worker of a run writes
            self._writer = CheckpointWriter(self.folder, keep=self._keep)
        files, replica = built.engine.replica.save()
        state = {
            "progress": {**dataclasses.asdict(progress), "seconds": seconds},
            "stopping": rules.state(),
            "replica": replica,
            "micro_batches": built.plan.micro_batches,
            "batch_size": built.plan.batch_size,
            "data": built.data.fingerprint,
        }
        self._writer.save(progress.step, files=files, state=state, name=name, wait=wait)

    def report(self, outbox: Outbox) -> list[dict[str, Any]]:
        """Says what became of checkpoints since the last call; returns what it said."""
        told: list[dict[str, Any]] = []
        for done in self._writer.reports() if self._writer is not None else ():
            if done.error is not None:
                told.append({"step": done.step, "name": done.name, "error": str(done.error)})
            elif done.path is not None:
                written = {"path": str(done.path), "bytes": done.bytes, "seconds": done.seconds}
                told.append({"step": done.step, "name": done.name, **written})
        for said in told:
            outbox.event("checkpoint", **said)
        return told

    def flush(self) -> None:
        """Waits until what was saved is durable; raises CheckpointError where the last one is not."""
        if self._writer is not None:
            self._writer.flush(FLUSH_S)
            if self._writer.last_error is not None:
                raise self._writer.last_error

    def close(self, outbox: Outbox) -> list[dict[str, Any]]:
        """Waits for what is still being written; returns what it said."""
        if self._writer is None:
            return []
        self._writer.close(FLUSH_S)
        return self.report(outbox)

    def holds_any(self) -> bool:
        """Whether there is a checkpoint, good or not."""
        return self.folder is not None and bool(list_checkpoints(self.folder))

    def newest(self, outbox: Outbox) -> Checkpoint:
        """The newest good checkpoint; says which ones were passed over. Raises CheckpointError where there is none."""

        def passed_over(error: CheckpointError) -> None:
            outbox.event("explained", text=f"a checkpoint was passed over: {error.what} ({error.where})")

        assert self.folder is not None, "a run is resumed from its folder"
        path = newest_checkpoint(self.folder, on_bad=passed_over)
        if path is None:
            raise CheckpointError(
                "the run has no checkpoint to go on from", where=str(self.folder), help="start it anew: gdist train JOB"
            )
        return read_checkpoint(path)

    def best(self) -> Checkpoint | None:
        """The checkpoint named ``best``, once it is durable."""
        if self._writer is not None:
            self._writer.flush(FLUSH_S)
        path = named_checkpoint(self.folder, "best") if self.folder is not None else None
        return read_checkpoint(path) if path is not None else None


def take_over(checkpoint: Checkpoint, built: Built, progress: Progress, rules: StopRules) -> list[str]:
    """Sets replica, progress and rules to the checkpoint's; returns what the user should know, as sentences."""
    state: dict[str, Any] = checkpoint.state
    for key, here, what in (
        ("data", built.data.fingerprint, "the data is not what the run was trained on"),
        ("batch_size", built.plan.batch_size, "the batch size is another"),
        ("micro_batches", built.plan.micro_batches, "the number of micro-batches is another"),
    ):
        if state[key] != here:
            raise JobError(
                what, where=str(checkpoint.path), note=f"{state[key]} then, {here} now", help="restore it, or start a new run"
            )
    said = built.engine.replica.load(checkpoint.files, state["replica"])
    for name, value in state["progress"].items():
        setattr(progress, name, value)
    rules.load_state(state["stopping"])
    return said
