"""A small exact job without an end: dropout draws random numbers, and every worker notes each step that it has applied."""

from __future__ import annotations

import os
import time

import torch
from faulty.records import Watched
from torch import nn

from gdist import Batch, Job, Tensors

PACE_S = float(os.environ.get("BENCH_PACE_S") or 0)  # per pass: two cores shall have time left for workers that start
ROWS, FEATURES, CLASSES = 2000, 16, 4

random = torch.Generator().manual_seed(0)
features = torch.randn(ROWS, FEATURES, generator=random)
target = (features @ torch.randn(FEATURES, CLASSES, generator=random)).argmax(dim=1)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, CLASSES))


def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    if PACE_S and model.training:
        time.sleep(PACE_S)
    return nn.functional.cross_entropy(model(batch.features), batch.target)


job = Job(
    model=net,
    loss=loss,
    data=Tensors(features=features, target=target),
    validation=0.1,
    metrics=["accuracy"],
    batch_size=48,
    micro_batches=4,
    optimizer=Watched,
    exact=True,
    steps=10**8,
    evaluate_every=500,
    checkpoint_every=250,
    threads=1,
    name="chaos",
)
