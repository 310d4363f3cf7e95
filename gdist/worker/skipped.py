"""A step that was not applied, since a number of it is not finite: it is said, and ends the run if the job says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdist.errors import NonFinite

if TYPE_CHECKING:
    from gdist.engine.step import StepResult
    from gdist.worker.session import Session


def say_skipped(session: Session, result: StepResult) -> None:
    """Says which samples a skipped step had, and why it was skipped. Raises NonFinite where the job stops for that."""
    job, progress = session.built.job, session.progress
    cut, precision = session.built.plan.cut(result.step), session.built.precision
    overflow = precision.scales and not result.non_finite
    guilty: Sequence[int] = result.non_finite or range(cut.micro_batches)
    spans = [[cut.bounds[i], cut.bounds[i + 1]] for i in guilty]
    why = "the loss is not finite" if result.non_finite else "the gradient is not finite"
    why += f" (fp16: the loss scale is now {precision.scale:g})" if overflow else ""
    session.outbox.event("skipped_step", step=progress.step, epoch=result.epoch + 1, why=why, positions=spans)
    if overflow and precision.scale > 1.0:
        return  # fp16 looks for its scale; that is no fault of the job
    if job.non_finite == "stop" or progress.skipped_in_a_row >= job.non_finite_limit:
        limit = f", {progress.skipped_in_a_row} times in a row" if job.non_finite == "skip" else ""
        raise NonFinite(
            f"{why} at step {progress.step}{limit}",
            where=f"epoch {result.epoch + 1}, samples at positions {', '.join(f'{a}-{b - 1}' for a, b in spans[:6])}",
            note="nothing of that step was applied",
            help="lower optimizer.lr, clip gradients (clip.norm=1), look at these samples, or set non_finite=skip",
        )
