"""The steps of a run, as every worker takes them: step, note, evaluate, checkpoint, decide whether to go on.

All decisions follow from what every worker knows alike (reduced losses, granted wishes, counts), so that all of them stand
at the same boundary when one stops. Only the worker that leads (rank 0) speaks and writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gdist.engine.step import StepResult
from gdist.errors import NonFinite
from gdist.records import WISHES, Wishes
from gdist.worker.blame import blaming_user
from gdist.worker.build import Built
from gdist.worker.evaluation import Evaluation
from gdist.worker.keeper import Keeper
from gdist.worker.outbox import Outbox
from gdist.worker.page import Page
from gdist.worker.progress import Progress
from gdist.worker.stopping import StopRules

if TYPE_CHECKING:
    from gdist.data.feed import Feed
    from gdist.data.read_ahead import Span


class Training:
    """Takes the steps from ``progress.step`` to the end. ``run`` returns why it ended; ``stopped`` says by whom."""

    def __init__(
        self,
        built: Built,
        *,
        progress: Progress,
        outbox: Outbox,
        wishes: Wishes,
        keeper: Keeper,
        page: Page,
        generation: int,
        started: float,
    ) -> None:
        job = built.job
        self.progress = progress
        self.stop_rules = StopRules(job.stop)
        self.stopped_by = "job"
        self.first_step_seconds: float | None = None
        self.keeper = keeper
        self._built, self._outbox, self._wishes, self._page = built, outbox, wishes, page
        self._generation, self._started = generation, started
        self._begun = time.monotonic()
        self._hash_every = job.hash_every
        self._evaluation = self._make_evaluation(built.data.validation)
        self._bad_in_epoch = 0  # rows left out, as far as this session has seen it
        self._evaluated_at = progress.step if progress.train else -1
        self._saved_at = -1  # the step of the newest regular checkpoint of this session

    def _make_evaluation(self, feed: Feed | None) -> Evaluation | None:
        built = self._built
        if feed is None:
            return None
        return Evaluation(
            built.task, feed, metrics=built.job.metrics, groups=built.plan.micro_batches,
            precision=built.precision, seed=built.job.seed, device=built.device,
        )  # fmt: skip

    def run(self) -> str:
        """Trains; returns the reason of the end. Raises what a step raises; ``progress`` then names the last good step."""
        total = self._built.total_steps
        self._built.feed.follow(self._coming(self.progress.step))
        reason = None
        while reason is None:
            if total is not None and self.progress.step >= total:
                reason = "all steps taken"
                break
            result = self._step()
            reason = self._boundary(result)
        if self._evaluated_at != self.progress.step:
            self.save()  # first: a resumed run must not know of an evaluation that the uninterrupted one would not have made
            self._evaluate(counts=self.stopped_by == "job")
        self._page.write("finishing", self.progress.step)
        return reason

    def _step(self) -> StepResult:
        number = self.progress.step
        self._page.write("step", number + 1)
        engine = self._built.engine
        weights_hash = engine.replica.fingerprint() if number % self._hash_every == 0 else None
        if self._out_of_time():
            self._wishes.add("finish", reason=f"{self._built.job.stop.wall_seconds:g} s of training are over")
        blame = blaming_user("the step failed in the job's code", worker=self._rank, step=number + 1)
        with blame, self._built.feed.placing(lambda: engine.batches.taken):
            result = engine.step(number, wishes=self._wishes.bits(), weights_hash=weights_hash)
        self.progress.step = number + 1
        self._note(result)
        return result

    def _coming(self, step: int) -> Iterator[Span]:
        """What this worker takes from step ``step`` on: (epoch, first position, one past the last)."""
        engine, total = self._built.engine, self._built.total_steps
        rank, size = (engine.collective.rank, engine.collective.size) if engine.collective is not None else (0, 1)
        while total is None or step < total:
            yield from engine.spans(step, rank=rank, size=size)
            step += 1

    @property
    def _rank(self) -> int:
        collective = self._built.engine.collective
        return collective.rank if collective is not None else 0

    def _out_of_time(self) -> bool:
        limit = self._built.job.stop.wall_seconds
        spent = self.progress.seconds + time.monotonic() - self._begun
        return limit is not None and self._outbox.leads and spent >= limit

    def _note(self, result: StepResult) -> None:
        progress = self.progress
        progress.skipped_in_a_row = progress.skipped_in_a_row + 1 if result.skipped else 0
        if not result.skipped:
            progress.train_sum += result.loss * result.weight
            progress.train_weight += result.weight
        if self.first_step_seconds is None:
            self.first_step_seconds = time.time() - self._started
            self._outbox.event("first_step", step=progress.step, seconds=self.first_step_seconds)
        progress.bad_rows += (bad := int(result.reads[:, -1].sum()))
        self._bad_in_epoch += bad
        applied = bool(result.weight) and not result.skipped
        self._outbox.entry((progress.step, result.epoch + 1, applied, result.reads))
        if self._outbox.leads:
            line = self._line(result)
            self._outbox.line(line)
            self.tell("on_step_end", line)

    def _line(self, result: StepResult) -> dict[str, Any]:
        collective = self._built.engine.collective
        return {
            "kind": "step",
            "step": result.step + 1,
            "epoch": result.epoch + 1,
            "loss": result.loss,
            "lr": result.lr,
            "grad_norm": result.grad_norm,
            "samples": result.samples,
            "workers": collective.size if collective is not None else 1,
            "generation": self._generation,
            "skipped": result.skipped,
            "seconds": result.seconds,
            "log": result.log,
            "time": time.time(),
        }

    def tell(self, place: str, said: dict[str, Any]) -> None:
        """The user's callbacks, once, where the run's lines are written: they see what all workers know alike."""
        for callback in self._built.job.callbacks if self._outbox.leads else ():
            what = f"{type(callback).__name__}.{place} failed"
            with blaming_user(what, worker=self._rank, step=self.progress.step):
                getattr(callback, place)(said, self._wishes)

    def _boundary(self, result: StepResult) -> str | None:
        """What happens between two steps; the reason to end, or None."""
        job, step = self._built.job, self.progress.step
        granted = [wish for i, wish in enumerate(WISHES) if result.wishes >> i & 1]
        if result.skipped:
            self._skipped(result)
        epoch_ends = step % self._built.plan.steps_per_epoch == 0
        if epoch_ends and self._bad_in_epoch:
            told = {"rows": self._bad_in_epoch, "examples": list(self._built.feed.rows.bad_rows) or None}
            self._outbox.event("bad_rows", step=step, epoch=result.epoch + 1, **told)
            self._bad_in_epoch = 0
        reason = None
        if step % job.evaluate_every == 0 if job.evaluate_every else epoch_ends:
            reason = self._evaluate()
        elif "evaluate" in granted:
            self._evaluate(counts=False)
        if (step % job.checkpoint_every == 0 if job.checkpoint_every else epoch_ends) or "checkpoint" in granted:
            self.save()
        for told in self.keeper.report(self._outbox):
            self.tell("on_checkpoint", told)
        for wish in granted:
            if wish in ("stop", "drain", "finish"):
                self.stopped_by = "job" if wish == "finish" and self.stopped_by != "wish" else "wish"
                reason = reason or self._wishes.reason(wish) or "asked to stop"
            self._wishes.granted(wish)
        if reason is not None:
            self._outbox.event("stopping", step=step, reason=reason, by=self.stopped_by)
        return reason

    def _skipped(self, result: StepResult) -> None:
        job, step = self._built.job, self.progress.step
        cut = self._built.plan.cut(result.step)
        overflow = self._built.precision.scales and not result.non_finite
        guilty = result.non_finite or range(cut.micro_batches)
        spans = [[cut.bounds[i], cut.bounds[i + 1]] for i in guilty]
        why = "the loss is not finite" if result.non_finite else "the gradient is not finite"
        why += f" (fp16: the loss scale is now {self._built.precision.scale:g})" if overflow else ""
        self._outbox.event("skipped_step", step=step, epoch=result.epoch + 1, why=why, positions=spans)
        if overflow and self._built.precision.scale > 1.0:
            return  # fp16 looks for its scale; that is no fault of the job
        if job.non_finite == "stop" or self.progress.skipped_in_a_row >= job.non_finite_limit:
            limit = f", {self.progress.skipped_in_a_row} times in a row" if job.non_finite == "skip" else ""
            raise NonFinite(
                f"{why} at step {step}{limit}",
                where=f"epoch {result.epoch + 1}, samples at positions {', '.join(f'{a}-{b - 1}' for a, b in spans[:6])}",
                note="nothing of that step was applied",
                help="lower optimizer.lr, clip gradients (clip.norm=1), look at these samples, or set non_finite=skip",
            )

    def _evaluate(self, *, counts: bool = True) -> str | None:
        """``counts``: it is one of the job's own, which the stopping rules follow; else somebody only wants to know."""
        progress, built = self.progress, self._built
        begun = time.perf_counter()
        self._evaluated_at = progress.step
        if progress.train_weight:
            progress.train = {"loss": progress.train_sum / progress.train_weight}
        if counts:
            progress.train_sum = progress.train_weight = 0.0
        if self._evaluation is not None:
            self._page.write("evaluation", progress.step)
            collective = built.engine.collective
            assert collective is not None
            averaged = built.averages.swapped_in() if built.averages is not None else nullcontext()
            blame = blaming_user("the evaluation failed in the job's code", worker=self._rank, step=progress.step)
            with blame, averaged:
                progress.validation = self._evaluation.run(collective)
        seconds = time.perf_counter() - begun
        line = {
            "kind": "evaluation",
            "step": progress.step,
            "epoch": (progress.step - 1) // built.plan.steps_per_epoch + 1,
            "train": progress.train,
            "validation": progress.validation,
            "workers": built.engine.collective.size if built.engine.collective is not None else 1,
            "generation": self._generation,
            "seconds": seconds,
            "time": time.time(),
        }
        self._outbox.line(line)
        self._outbox.event("evaluation", **{k: v for k, v in line.items() if k not in ("kind", "time")})
        self.tell("on_evaluation", line)
        if not counts or not progress.train:
            return None
        best, reason = self.stop_rules.after_evaluation(progress.train, progress.validation)
        if best and built.job.stop.restore_best:
            self.save(name="best")
        return reason

    def test(self) -> dict[str, float] | None:
        """Loss and metrics of the test data with the weights as they are; None where the job has none."""
        evaluation = self._make_evaluation(self._built.data.test)
        if evaluation is None:
            return None
        self._page.write("evaluation", self.progress.step)
        collective = self._built.engine.collective
        assert collective is not None
        with blaming_user("the test failed in the job's code", worker=self._rank, step=self.progress.step):
            return evaluation.run(collective)

    def save(self, name: str | None = None, *, wait: bool = False) -> None:
        """A checkpoint of the last good step, written by the worker that leads."""
        if not self._outbox.leads:
            return
        if name is None and self._saved_at == self.progress.step:
            if wait:
                self.keeper.flush()
            return
        if name is None:
            self._saved_at = self.progress.step
        spent = self.progress.seconds + time.monotonic() - self._begun
        self._outbox.flush()  # a run that goes on from this checkpoint finds the ledger of all steps up to it
        self.keeper.save(self._built, self.progress, self.stop_rules, seconds=spent, name=name, wait=wait)
