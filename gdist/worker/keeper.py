"""Checkpoints of a worker's run: what goes into one, when, what became of it, and the one that a run is taken up from.

All workers save at the same boundary, each its share (run/checkpoint_write.py). That boundary is chosen by the worker that
leads, as a wish on the step before it: it alone knows the time, and whether the last checkpoint is still being written.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.data.storage.secrets import shown_url
from gdist.errors import CheckpointError, DataError, DeadlineExceeded, UsageError
from gdist.job.every import Every, every
from gdist.run import checkpoint
from gdist.run.checkpoint import Checkpoint, newest_checkpoint, read_checkpoint
from gdist.run.checkpoint_writer import CheckpointWriter
from gdist.run.store import Location, is_url
from gdist.worker.due import Due
from gdist.worker.fence import Fence

if TYPE_CHECKING:
    from gdist.job.job import Job
    from gdist.run.folder import RunFolder
    from gdist.worker.build import Built
    from gdist.worker.outbox import Outbox
    from gdist.worker.progress import Progress
    from gdist.worker.stopping import StopRules

FLUSH_S = 180.0


class Keeper:
    """``where``: of the run's checkpoints; None keeps nothing. ``control``: the run's control.json (fence.py)."""

    def __init__(
        self,
        where: Location | None,
        *,
        keep: int = 3,
        often: Every = Every(epochs=1),  # noqa: B008 (frozen)
        patience_s: float | None = None,
        control: Path | None = None,
    ) -> None:
        self.where = where
        self._fence, self._due = Fence(control), Due(often, patience_s)
        self._writer = CheckpointWriter(where, keep=keep, given_up=self._fence.given_up) if where is not None else None
        self._number, self._workers = 0, 1
        self._held: tuple[int, int] | None = None  # generation and step of the last regular one
        self._prepared = False
        self._safe_step: int | None = None

    @classmethod
    def of(cls, job: Job, folder: RunFolder | None) -> Keeper:
        """The job's, for a run in ``folder``."""
        if folder is None:
            return cls(None)
        return cls(
            folder.checkpoints_of(job.checkpoints),
            keep=job.keep_checkpoints,
            often=every(job.checkpoint_every),
            patience_s=job.checkpoint_patience,
            control=folder.path / "control.json",
        )

    def begin(self, *, generation: int, rank: int, members: Sequence[tuple[int, ...]], shared: bool) -> None:
        """A generation begins. ``members``: by rank; ``shared``: they see the same folder, and write together."""
        self._fence.begin(generation, members)
        shared = shared or (self.where is not None and is_url(self.where))
        self._number, self._workers = rank, len(members) if shared and members else 1
        self._prepared = False
        if rank == 0 and self.where is not None and self._fence.fresh:  # nobody of this generation has written yet
            with suppress(OSError, CheckpointError, DataError):
                checkpoint.remove_leftovers(self.where, which=lambda place: place.generation <= generation)

    def due(self, step: int, *, steps_per_epoch: int) -> bool:
        """Whether a regular checkpoint should follow the step that makes ``step`` of them, and can: asked before that step, of
        the worker that leads."""
        return self._due.after(step, steps_per_epoch=steps_per_epoch) and self._writer is not None and not self._writer.busy

    def prepare(self, built: Built) -> None:
        """Makes memory ready for the copies of the state, once the optimizer has its own: after a step."""
        if self._writer is not None and not self._prepared:
            self._prepared = True
            self._writer.prepare(built.engine.replica.save()[0], number=self._number, workers=self._workers)

    def save(
        self,
        built: Built,
        progress: Progress,
        rules: StopRules,
        *,
        seconds: float,
        name: str | None = None,
        wait: bool = False,
        alone: bool = False,
    ) -> None:
        """This worker's share, copied now and written soon; a regular one once a step. ``wait``: until it is durable; where the
        others' parts do not come, the first writes them all. ``alone``: they are gone, so that this worker writes all of it,
        whatever its rank. Raises CheckpointError, DeadlineExceeded if it waits."""
        writer = self._writer
        if writer is None:
            return
        self._fence.alone = alone
        taken = (self._fence.generation, progress.step)
        fresh = name is not None or self._held != taken
        if fresh:
            self._write(writer, built, progress, rules, seconds=seconds, name=name, alone=alone)
        if name is None:
            self._held = taken
            self._due.saved()
        if not wait:
            return
        writer.flush(FLUSH_S)
        answers = alone or self._number == 0
        tried_all = fresh and (alone or self._workers == 1)  # just now: a store that is away has been given its time
        if answers and not tried_all and (self._number or writer.last_error is not None):
            self._write(writer, built, progress, rules, seconds=seconds, name=name, alone=True)
            writer.flush(FLUSH_S)
        if answers and writer.last_error is not None:
            raise writer.last_error

    def report(self, outbox: Outbox) -> list[dict[str, Any]]:
        """Says what became of checkpoints since the last call; returns what it said. Raises CheckpointError where they have
        failed for longer than the job allows."""
        told: list[dict[str, Any]] = []
        failure = None
        for done in self._writer.reports() if self._writer is not None and outbox.leads else ():
            if done.error is not None:
                failure = done.error
                safe = {"safe_step": self._safe_step} if self._safe_step is not None else {}
                said = {"error": str(failure), "again_seconds": self._due.failed(), **safe}
            elif done.path is not None:
                failure = None
                self._due.written()
                self._safe_step = done.step
                where = shown_url(str(done.path))
                said = {"path": where, "bytes": done.bytes, "seconds": done.seconds, "parts": done.parts}
            else:
                continue
            told.append({"step": done.step, "name": done.name, **said})
            outbox.event("checkpoint", **told[-1])
        if failure is not None:
            self._due.require_patience(failure)
        return told

    def flush(self) -> bool:
        """Waits until what was saved is written, or has failed; False where that takes too long (a disk that hangs)."""
        with suppress(DeadlineExceeded):
            if self._writer is not None:
                self._writer.flush(FLUSH_S)
            return True
        return False

    def close(self, outbox: Outbox) -> list[dict[str, Any]]:
        """Waits for what is still being written; returns what it said. Idempotent."""
        if self._writer is None:
            return []
        self._writer.close(FLUSH_S)
        return self.report(outbox)

    def require_empty(self) -> None:
        """For a run that begins. Raises UsageError where its place in an object store is taken, CheckpointError where the
        store cannot be reached."""
        if self.where is not None and is_url(self.where) and checkpoint.places(self.where):
            raise UsageError(
                "the checkpoints of another run lie there already",
                where=shown_url(str(self.where)),
                help="give this run another name (--name), or its checkpoints another place (checkpoints=URL)",
            )

    def holds_any(self) -> bool:
        """Whether there is a checkpoint, good or not."""
        return self.where is not None and bool(checkpoint.list_checkpoints(self.where))

    def newest(self, outbox: Outbox) -> Checkpoint:
        """The newest good checkpoint; says which ones were passed over. Raises CheckpointError where there is none."""

        def passed_over(error: CheckpointError) -> None:
            outbox.event("explained", text=f"a checkpoint was passed over: {error.what} ({error.where})")

        assert self.where is not None, "a run is resumed from its folder"
        path = newest_checkpoint(self.where, on_bad=passed_over)
        if path is None:
            where = shown_url(str(self.where))
            raise CheckpointError("the run has no checkpoint to go on from", where=where, help="start it anew: gdist train JOB")
        found = read_checkpoint(path)
        self._safe_step = found.step
        return found

    def best(self) -> Checkpoint | None:
        """The checkpoint named ``best``, once it is durable."""
        self.flush()
        path = checkpoint.named_checkpoint(self.where, "best") if self.where is not None else None
        return read_checkpoint(path) if path is not None else None

    def _write(
        self,
        writer: CheckpointWriter,
        built: Built,
        progress: Progress,
        rules: StopRules,
        *,
        seconds: float,
        name: str | None,
        alone: bool,
    ) -> None:
        files, replica = built.engine.replica.save()
        state = {
            "progress": {**dataclasses.asdict(progress), "seconds": seconds},
            "stopping": rules.state(),
            "replica": replica,
            "micro_batches": built.plan.micro_batches,
            "batch_size": built.plan.batch_size,
            "data": built.data.fingerprint,
        }
        facts = {"epoch": progress.step / built.plan.steps_per_epoch, "train": progress.train}
        number, workers = (0, 1) if alone else (self._number, self._workers)
        writer.save(
            progress.step, files=files, state=json.loads(json.dumps(state)), name=name, generation=self._fence.generation,
            number=number, workers=workers, facts={**facts, "validation": progress.validation},
        )  # fmt: skip
