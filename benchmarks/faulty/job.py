"""gdist's own: ``gdist train benchmarks/faulty/job.py --workers 2``, nothing set for faults."""

from __future__ import annotations

import torch
from workloads import SEED, WORKERS, digits

from faulty.model import BATCH, CHECKPOINT_EVERY, build, loss
from faulty.records import Watched
from gdist import Batch, Job, Tensors


def mean_cross_entropy(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    return loss(model(batch.features), batch.target)


features, target = digits()
job = Job(
    model=build,
    loss=mean_cross_entropy,
    data=Tensors(features=features, target=target),
    batch_size=BATCH * WORKERS,
    micro_batches=WORKERS,
    optimizer=Watched,
    steps=10**8,
    checkpoint_every=CHECKPOINT_EVERY,
    evaluate_every=10**8,
    threads=1,
    seed=SEED,
    name="faults",
)
