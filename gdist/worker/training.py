"""The steps of a run, as every worker takes them: do what is left to do at the boundary, take a step, note it, go on.

All decisions follow from what every worker knows alike (reduced losses, granted wishes, counts), so that all of them stand
at the same boundary when one stops, or when a generation ends. Only the worker that leads (rank 0) speaks and writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gdist.fault_points import fault_context, fault_point
from gdist.records import Changed
from gdist.worker.blame import blaming_user
from gdist.worker.boundary import Boundary

if TYPE_CHECKING:
    from gdist.data.read_ahead import Span
    from gdist.engine.step import StepResult
    from gdist.worker.session import Session


class Training:
    """Takes the steps from ``progress.step`` to the end, over as many generations as it takes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.boundary = Boundary(session)
        self._proved = False  # in this generation all workers have compared their weights

    def enter(self) -> None:
        """A generation begins: what this worker reads from now on is another share."""
        self._proved = False
        self.session.built.feed.follow(self._coming(self.session.progress.step))

    def run(self) -> dict[str, Any] | Changed:
        """Trains to the end of the run, and returns its result; or to the end of the generation, where all workers have agreed
        on the next. Raises what a step raises; ``progress`` then names the last good step, and what is left to do after it."""
        progress, total = self.session.progress, self.session.built.total_steps
        while progress.result is None:
            next_generation: int | None = None
            if progress.duties:
                next_generation = self.boundary.do(progress.duties[0])
            elif total is not None and progress.step >= total:
                self.boundary.end("all steps taken")
            else:
                next_generation = self._step()
            if next_generation is not None:
                return Changed(generation=next_generation, step=progress.step)
        return progress.result

    def _step(self) -> int | None:
        session, number = self.session, self.session.progress.step
        session.allowances.enter("boundary", number + 1)
        fault_context(step=number + 1)
        fault_point("step_begin")
        engine, feed = session.built.engine, session.built.feed
        compares = not self._proved or number % session.built.job.hash_every == 0
        weights_hash = engine.replica.fingerprint() if compares else None
        if self._out_of_time():
            session.wishes.add("finish", reason=self.boundary.out_of_time)
        if session.outbox.leads and session.keeper.due(number + 1, steps_per_epoch=session.built.plan.steps_per_epoch):
            session.wishes.add("checkpoint")
        blame = blaming_user(
            "the step failed in the job's code", worker=session.outbox.slot, step=number + 1,
            positions=lambda: _in_words(engine.batches.taken),
        )  # fmt: skip
        try:
            with blame, feed.placing(lambda: engine.batches.taken):
                result = engine.step(
                    number, wishes=session.wishes.bits(), weights_hash=weights_hash, next_generation=session.next_generation
                )
        except BaseException:
            session.state.whole = not engine.is_torn
            raise
        session.allowances.enter("boundary", number + 1)
        self._proved = True
        self._note(result)
        session.keeper.prepare(session.built)
        self.boundary.plan(result)
        fault_point("boundary")
        return result.next or None

    def _coming(self, step: int) -> Iterator[Span]:
        """What this worker takes from step ``step`` on: (epoch, first position, one past the last)."""
        engine, total = self.session.built.engine, self.session.built.total_steps
        rank, size = self.session.collective.rank, self.session.collective.size
        while total is None or step < total:
            yield from engine.spans(step, rank=rank, size=size)
            step += 1

    def _out_of_time(self) -> bool:
        limit = self.session.built.job.stop.wall_seconds
        return limit is not None and self.session.outbox.leads and self.session.state.seconds >= limit

    def _note(self, result: StepResult) -> None:
        """The step is taken: it counts, and is written down."""
        session, progress = self.session, self.session.progress
        session.stepped_at = time.monotonic()
        progress.step, progress.duties, progress.done = result.step + 1, [], 0
        progress.skipped_in_a_row = progress.skipped_in_a_row + 1 if result.skipped else 0
        if not result.skipped:
            progress.train_sum += result.loss * result.weight
            progress.train_weight += result.weight
        if progress.first_step_seconds is None:
            progress.first_step_seconds = time.time() - session.order.started
            session.outbox.event("first_step", step=progress.step, seconds=progress.first_step_seconds)
        progress.bad_rows += (bad := int(result.reads[:, -1].sum()))
        progress.bad_in_epoch += bad
        applied = bool(result.weight) and not result.skipped
        session.outbox.entry((progress.step, result.epoch + 1, applied, result.reads))
        line = self._line(result)
        session.outbox.line(line)
        session.tell("on_step_end", line)

    def _line(self, result: StepResult) -> dict[str, Any]:
        return {
            "kind": "step",
            "step": result.step + 1,
            "epoch": result.epoch + 1,
            "loss": result.loss,
            "lr": result.lr,
            "grad_norm": result.grad_norm,
            "samples": result.samples,
            "workers": self.session.collective.size,
            "generation": self.session.generation,
            "skipped": result.skipped,
            "seconds": result.seconds,
            "log": result.log,
            "time": time.time(),
        }


def _in_words(span: Span | None) -> str | None:
    """The positions of a pass in its epoch's order."""
    return f"{span[1]}-{span[2] - 1} of epoch {span[0] + 1}" if span is not None else None
