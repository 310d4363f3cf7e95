"""What happens between two steps: evaluations, checkpoints, the best weights kept, the decision to go on, the run's end.

After each step all workers plan the same duties (``Progress.duties``) and do them in order. A duty that needs the others is
done once all have done it, so that one which a lost peer broke off, or a planned change, is begun again in the next generation,
from the same state; what needs nobody is ticked off first. So none is left out, and none counts twice.

    evaluate    as the job plans it: the stop rules follow      checkpoint  a regular one, written by a thread
    look        because somebody asked                          best        the weights as they are, by the name of "best"
    stop        it is decided that the run ends: what is left   flush       the last checkpoint is durable
    restore     the best weights come back                      conclude    the model's file, the test, the result
    drain       all workers leave, once a checkpoint is durable: others will go on from it, with the duties that are left
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from gdist.fault_points import fault_point
from gdist.records import WISHES
from gdist.worker.blame import blaming_user
from gdist.worker.evaluation import Evaluation, evaluation_of
from gdist.worker.rounds import until_change
from gdist.worker.skipped import say_skipped
from gdist.worker.telling import conclude, restore_best

if TYPE_CHECKING:
    from gdist.data.feed import Feed
    from gdist.engine.step import StepResult
    from gdist.worker.session import Session

_ENDS = ("stop", "finish")


class Boundary:
    """``plan`` after a step, then ``do`` for each duty."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._validation = evaluation_of(session, session.built.data.validation)

    @property
    def out_of_time(self) -> str:
        """Why the run ends once the job's time is over."""
        return f"{self._session.built.job.stop.wall_seconds:g} s of training are over"

    def plan(self, result: StepResult) -> None:
        """Decides what is to be done before the next step. Raises NonFinite where the job stops for that."""
        session, job, progress = self._session, self._session.built.job, self._session.progress
        granted = [wish for i, wish in enumerate(WISHES) if result.wishes >> i & 1]
        if result.skipped:
            say_skipped(session, result)
        epoch_ends = progress.step % session.built.plan.steps_per_epoch == 0
        if epoch_ends and progress.bad_in_epoch:
            told = {"rows": progress.bad_in_epoch, "examples": list(session.built.feed.rows.bad_rows) or None}
            session.outbox.event("bad_rows", step=progress.step, epoch=result.epoch + 1, **told)
            progress.bad_in_epoch = 0
        duties = []
        if progress.step % job.evaluate_every == 0 if job.evaluate_every else epoch_ends:
            duties.append("evaluate")
        elif "evaluate" in granted:
            duties.append("look")
        if "checkpoint" in granted:  # wished by the worker that leads, where it is time for a regular one
            duties.append("checkpoint")
        if ends := [wish for wish in granted if wish in _ENDS]:
            reasons = [self.out_of_time if wish == "finish" else session.wishes.reason(wish) for wish in ends]
            progress.ending = next(filter(None, reasons), "asked to stop")
            progress.stopped_by = "job" if ends == ["finish"] else "wish"
            duties.append("stop")
        for wish in granted:
            session.wishes.granted(wish)
        if "drain" in granted and "stop" not in duties:
            duties.insert(0, "drain")
        progress.duties = duties
        session.report_checkpoints()

    def do(self, duty: str) -> int | None:
        """Does the next duty. Returns None, or the number of the next generation where all workers want to enter it first, or 0
        where all leave."""
        session, progress = self._session, self._session.progress
        fault_point(duty)
        if duty in ("evaluate", "look"):
            return self._evaluate(duty)
        if duty == "conclude":
            next_generation = conclude(session, self._evaluated)
            return None if next_generation is None else self._broken_off(next_generation)
        if duty == "checkpoint":
            progress.finish(duty)
            session.save()
        elif duty == "drain":
            session.wishes.granted("drain")
            progress.finish(duty)
            session.save(wait=True)
            session.wait_for_all()
            return 0
        elif duty == "best":
            session.save(name="best")
            if session.collective.size > 1:  # with the one that writes, the weights of this step would be gone
                session.keeper.flush()
                session.wait_for_all()
            progress.finish(duty)
        elif duty == "stop":
            session.outbox.event("stopping", step=progress.step, reason=progress.ending, by=progress.stopped_by)
            progress.finish(duty, *self._last_duties())
        elif duty == "flush":
            session.save(wait=True)
            session.wait_for_all()
            progress.finish(duty)
        else:
            restore_best(session)
            progress.finish(duty)
        session.report_checkpoints()
        return None

    def end(self, reason: str) -> None:
        """The run is at its end for a reason that needs no word; plans what is left."""
        progress = self._session.progress
        progress.ending = reason
        progress.duties = self._last_duties()

    def _last_duties(self) -> list[str]:
        """What an ending run does. A checkpoint first: a resumed run must not know of an evaluation that the uninterrupted one
        would not have made."""
        progress = self._session.progress
        by_itself = progress.stopped_by == "job"
        evaluated = progress.evaluated_at == progress.step
        restores = by_itself and self._session.built.job.stop.restore_best
        return [
            *([] if evaluated else ["checkpoint", "evaluate" if by_itself else "look"]),
            "flush",
            *(["restore"] if restores else []),
            "conclude",
        ]

    def _evaluate(self, duty: str) -> int | None:
        session, progress, built = self._session, self._session.progress, self._session.built
        begun = time.perf_counter()
        train, validation = progress.train, progress.validation
        if progress.train_weight:
            train = {"loss": progress.train_sum / progress.train_weight}
        if self._validation is not None:
            averaged = built.averages.swapped_in() if built.averages is not None else nullcontext()
            with averaged:
                next_generation, validation = self._in_rounds(self._validation, "the evaluation failed in the job's code")
            if next_generation is not None:
                return self._broken_off(next_generation)
        counts = duty == "evaluate"
        progress.evaluated_at, progress.train, progress.validation = progress.step, train, validation
        if counts:
            progress.train_sum = progress.train_weight = 0.0
        line = {
            "kind": "evaluation",
            "step": progress.step,
            "epoch": (progress.step - 1) // built.plan.steps_per_epoch + 1,
            "train": train,
            "validation": validation,
            "workers": session.collective.size,
            "generation": session.generation,
            "seconds": time.perf_counter() - begun,
            "time": time.time(),
        }
        best, reason = session.state.rules.after_evaluation(train, validation) if counts and train else (False, None)
        progress.finish(duty, *(["best"] if best and built.job.stop.keeps_best else []))
        if reason is not None and progress.ending is None:
            progress.duties.append("stop")
        if reason is not None and "stop" in progress.duties:
            progress.ending = reason
        session.outbox.line(line)
        session.outbox.event("evaluation", **{k: v for k, v in line.items() if k not in ("kind", "time")})
        session.tell("on_evaluation", line)
        session.stepped_at = time.monotonic()  # it was the run's own work, and no pause of a change that comes now
        return None

    def _broken_off(self, next_generation: int) -> int | None:
        """A duty is to be done by the next generation: that is entered first, or, where all leave (0), a checkpoint written."""
        if next_generation:
            return next_generation
        self._session.progress.duties.insert(0, "drain")
        return None

    def _evaluated(self, feed: Feed) -> tuple[int | None, dict[str, float] | None]:
        """Loss and metrics of other data with the weights as they are; or the next generation, to be entered first."""
        fault_point("test")
        evaluation = evaluation_of(self._session, feed)
        assert evaluation is not None
        return self._in_rounds(evaluation, "the test failed in the job's code")

    def _in_rounds(self, evaluation: Evaluation, what: str) -> tuple[int | None, dict[str, float] | None]:
        session, collective = self._session, self._session.collective
        with blaming_user(what, worker=session.outbox.slot, step=session.progress.step):
            next_generation = until_change(
                evaluation.work(collective), collective, wanted=lambda: session.next_generation,
                drains=lambda: session.wishes.wants("drain"), device=session.built.device,
            )  # fmt: skip
            session.allowances.enter("boundary", session.progress.step)
            return (None, evaluation.combine(collective)) if next_generation is None else (next_generation, None)
