"""What a worker says of its run as a whole: that it has begun, and how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdist.records import Order
    from gdist.run.folder import RunFolder
    from gdist.worker.build import Built
    from gdist.worker.outbox import Outbox
    from gdist.worker.training import Training


def say_started(
    built: Built, outbox: Outbox, order: Order, *, name: str, folder: RunFolder | None, workers: int, step: int
) -> None:
    """The event ``started``, and what the user should know once. ``step``: where it begins."""
    from gdist.job.micro_batches import explain_accumulate

    plan, job = built.plan, built.job
    outbox.event(
        "started", run=folder.name if folder else name, job=name, job_file=order.job_file,
        run_dir=str(folder.path) if folder else None, workers=workers,
        parameters=sum(p.numel() for p in built.task.module.parameters()), samples=plan.samples,
        validation_samples=built.data.count("validation"), test_samples=built.data.count("test"),
        batch_size=plan.batch_size, micro_batches=plan.micro_batches, steps_per_epoch=plan.steps_per_epoch,
        total_steps=built.total_steps, epochs=dict([job.last] if job.last else []).get("epochs"), step=step,
        resumed=order.resume,
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


def conclude(
    built: Built, training: Training, reason: str, *, outbox: Outbox, order: Order, name: str, folder: RunFolder | None
) -> dict[str, Any]:
    """After the last checkpoint: restores the best weights if asked, writes the model, and says how it went."""
    from gdist.run.tensors import weights_sha256

    progress, engine = training.progress, built.engine
    if training.stopped_by == "job" and built.job.stop.restore_best:
        _restore_best(built, training, outbox)
    if built.averages is not None:
        built.averages.swap()
    weights = engine.replica.weights()
    if outbox.leads:
        for told in training.keeper.close(outbox):
            training.tell("on_checkpoint", told)
        if folder is not None:
            folder.write_model(built.task.module.state_dict(), {"job": name, "step": str(progress.step)})
    test = training.test() if training.stopped_by == "job" else None
    return {
        "status": "done" if training.stopped_by == "job" else "stopped",
        "reason": reason,
        "steps": progress.step,
        "epochs": progress.step / built.plan.steps_per_epoch,
        "train": progress.train,
        "validation": progress.validation,
        "test": test,
        "bad_rows": progress.bad_rows,
        "first_step_seconds": training.first_step_seconds,
        "wall_seconds": time.time() - order.started,
        "workers": engine.collective.size if engine.collective is not None else 1,
        "weights_sha256": weights_sha256(weights),
        "run_dir": str(folder.path) if folder else None,
    }


def _restore_best(built: Built, training: Training, outbox: Outbox) -> None:
    from gdist.engine.replica import load_weights

    engine = built.engine
    if outbox.leads:
        best = training.keeper.best()
        if best is not None:
            load_weights(engine.replica.weights(), best.files["model"])
            if built.averages is not None and "averages" in best.files:
                built.averages.load_state(best.files["averages"])
            training.progress.train = best.state["progress"]["train"]
            training.progress.validation = best.state["progress"]["validation"]
            outbox.event("explained", text=f"the weights are those of step {best.step}, the best evaluation")
    assert engine.collective is not None
    engine.replica.agree(engine.collective)
