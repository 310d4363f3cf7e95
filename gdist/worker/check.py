"""``gdist check``: what a job would do, found without training it and without Ray."""

from __future__ import annotations

import math
from typing import Any

from gdist.engine.collective.alone import Alone
from gdist.errors import JobError
from gdist.records import Order, Wishes
from gdist.worker.member import Member

_STATE_PER_WEIGHT = {"SGD": 1, "Adagrad": 1, "RMSprop": 1, "Adam": 2, "AdamW": 2}  # tensors of a weight's size, at most


def check_job(order: Order) -> dict[str, Any]:
    """Makes the model, opens the data, takes one micro-batch through forward, loss and backward. Raises JobError, DataError,
    UserCodeError. The report's sizes are in bytes."""
    from gdist.job.describe import describe

    member = Member(order, slot=0, send=lambda update: None, wishes=Wishes())
    member.prepare()
    member.complete(Alone())
    built = member.built
    job, plan, findings = built.job, built.plan, built.findings
    parameters = sum(p.numel() for p in built.task.module.parameters())
    trained = sum(p.numel() for p in built.task.module.parameters() if p.requires_grad)
    size = 8 if job.precision == "fp64" else 4
    optimizers = built.engine.replica.optimizers.values()
    states = max((_STATE_PER_WEIGHT.get(type(o).__name__, 2) for o in optimizers), default=0)
    memory = {"weights": parameters * size, "gradients": trained * size, "optimizer": trained * size * states}
    warnings = [f"no gradient reaches {name}" for name in findings.without_gradient]
    if not math.isfinite(findings.loss):
        raise JobError(
            f"the loss of the first micro-batch is {findings.loss}",
            where="loss(model, batch)",
            help="look at the data (nan, infinity, scale) and at the initial weights",
        )
    rows = plan.batch_size / plan.micro_batches
    if findings.unmergeable and rows < 4 and job.micro_batches is not None:
        warnings.append(f"a micro-batch has only {rows:g} samples, and passes are not merged: {findings.unmergeable}")
    return {
        "job": member.name,
        "parameters": parameters,
        "trained": trained,
        "buffers": sum(b.numel() for b in built.task.module.buffers()),
        "memory": {**memory, "total": sum(memory.values())},
        "device": built.device.type,
        "samples": plan.samples,
        "validation_samples": built.data.count("validation"),
        "test_samples": built.data.count("test"),
        "steps_per_epoch": plan.steps_per_epoch,
        "total_steps": built.total_steps,
        "batch_size": plan.batch_size,
        "micro_batches": plan.micro_batches,
        "micro_batch_rows": rows,
        "even_workers": plan.even_workers(),
        "merges": plan.pass_rows is not None,
        "why_not_merged": None if plan.pass_rows is not None else (findings.unmergeable or "exact or merge=false"),
        "first_loss": findings.loss,
        "warnings": warnings,
        "plan": describe(job) | {"micro_batches": plan.micro_batches, "batch_size": plan.batch_size},
    }
