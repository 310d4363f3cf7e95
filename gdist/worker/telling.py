"""What a worker says of its run as a whole: that it has begun, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gdist.data.feed import Feed
    from gdist.worker.session import Session


def say_started(session: Session, *, workers: int, resumed: bool) -> None:
    """The event ``started``, and what the user should know once."""
    from gdist.job.micro_batches import explain_accumulate

    built, outbox, folder = session.built, session.outbox, session.folder
    plan, job = built.plan, built.job
    outbox.event(
        "started", run=folder.name if folder else session.name, job=session.name, job_file=session.order.job_file,
        run_dir=str(folder.path) if folder else None, workers=workers,
        parameters=sum(p.numel() for p in built.task.module.parameters()), samples=plan.samples,
        validation_samples=built.data.count("validation"), test_samples=built.data.count("test"),
        batch_size=plan.batch_size, micro_batches=plan.micro_batches, steps_per_epoch=plan.steps_per_epoch,
        total_steps=built.total_steps, epochs=dict([job.last] if job.last else []).get("epochs"), step=session.progress.step,
        resumed=resumed,
    )  # fmt: skip
    for sentence in built.data.said:
        outbox.event("explained", text=sentence)
    if job.accumulate is not None:
        outbox.event("explained", text=explain_accumulate(job.accumulate, plan.batch_size))
    if built.findings.unmergeable and not job.exact and job.merge == "auto" and workers < plan.micro_batches:
        outbox.event("explained", text=f"every micro-batch is a pass of its own: {built.findings.unmergeable}")
    if built.findings.without_gradient:
        names = ", ".join(built.findings.without_gradient[:4])
        outbox.event("explained", text=f"no gradient reached {names} in the first micro-batch; they stay as they are")


def conclude(session: Session, evaluated: Callable[[Feed], tuple[int | None, dict[str, float] | None]]) -> int | None:
    """After the last checkpoint: writes the model, tests it, and makes the run's result. ``evaluated``: loss and metrics of a
    feed, or the generation that is to be entered first, which does all of this again. Returns that generation, or None."""
    from gdist.run.tensors import weights_sha256

    built, progress, test = session.built, session.progress, None
    by_itself = progress.stopped_by == "job"
    if session.outbox.leads:
        for told in session.keeper.close(session.outbox):
            session.tell("on_checkpoint", told)
    with built.averages.swapped_in() if built.averages is not None else nullcontext():
        digest = weights_sha256(built.engine.replica.weights())
        if session.outbox.leads and session.folder is not None:
            about = {"job": session.name, "step": str(progress.step)}
            session.folder.write_model(built.task.module.state_dict(), about)
        if by_itself and built.data.test is not None:
            next_generation, test = evaluated(built.data.test)
            if next_generation is not None:
                return next_generation
    progress.result = {
        "status": "done" if by_itself else "stopped",
        "reason": progress.ending,
        "steps": progress.step,
        "epochs": progress.step / built.plan.steps_per_epoch,
        "train": progress.train,
        "validation": progress.validation,
        "test": test,
        "bad_rows": progress.bad_rows,
        "first_step_seconds": progress.first_step_seconds,
        "wall_seconds": time.time() - session.order.started,
        "workers": session.collective.size,
        "weights_sha256": digest,
        "run_dir": str(session.folder.path) if session.folder else None,
    }
    progress.finish("conclude")
    return None


def restore_best(session: Session) -> None:
    """The worker that leads takes the weights of the best evaluation, and hands them to all."""
    from gdist.engine.replica import load_weights
    from gdist.worker.handover import level

    built, progress = session.built, session.progress
    best = session.keeper.best() if session.outbox.leads else None
    if best is not None:
        load_weights(built.engine.replica.weights(), best.files["model"])
        if built.averages is not None and "averages" in best.files:
            built.averages.load_state(best.files["averages"])
        progress.train = best.state["progress"]["train"]
        progress.validation = best.state["progress"]["validation"]
        session.outbox.event("explained", text=f"the weights are those of step {best.step}, the best evaluation")
    session.state.agreed = False  # the others learn of it now
    level(session.collective, session.state, source=0, device=built.device)
