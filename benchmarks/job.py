"""gdist's own row: a job as a user writes it, with everything that gdist measures on, and a stopwatch that looks on.

BENCH_WORKLOAD=wide torchrun --nproc-per-node 2 -m gdist.worker benchmarks/job.py
"""

from __future__ import annotations

import os
from typing import Any

import torch
from stopwatch import Stopwatch
from workloads import SEED, WORKERS, WORKLOADS, loss

from gdist import Batch, Callback, Job, Tensors

workload = WORKLOADS[os.environ.get("BENCH_WORKLOAD", "mlp")]
watch = Stopwatch.of(workload, path=os.environ.get("BENCH_RESULT"))


class Tick(Callback):
    def on_step_end(self, result: Any, wishes: Any) -> None:
        watch.tick()


def mean_cross_entropy(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    return loss(model(batch.features), batch.target)


features, target = workload.data()
job = Job(
    name=workload.name,
    model=workload.model,
    loss=mean_cross_entropy,
    data=Tensors(features=features, target=target),
    batch_size=workload.batch * WORKERS,
    optimizer="adamw",
    steps=watch.last,
    threads=1,
    seed=SEED,
    callbacks=(Tick(),),
)
