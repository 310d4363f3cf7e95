"""Jobs of a second or less, for runs whose workers die, leave and join; all exact."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from gdist.data import Parquet
from gdist.data.batch import Batch
from gdist.data.facts import DataFacts
from gdist.data.tensors import Tensors
from gdist.job import Job
from gdist.job.stopping import Stop
from gdist.task.task import Loss
from tests.worker.jobs import Adversaries, Centres, arrays, network, plain

COMMON: dict[str, Any] = {"validation": 0.2, "batch_size": 24, "micro_batches": 4, "epochs": 4, "threads": 1, "exact": True}


def test_data() -> Tensors:
    x, y = arrays(seed=3)
    return Tensors(features=x, target=y)


class SlowToEvaluate(Adversaries):
    """Whose evaluation takes several rounds."""

    def evaluate(self, batch: Batch) -> Loss:
        time.sleep(0.1)
        return super().evaluate(batch)


class OfTable(nn.Module):
    def __init__(self, data: DataFacts) -> None:
        super().__init__()
        self.kinds = nn.Embedding(data.categories["kind"], 4)
        self.layers = nn.Sequential(nn.Linear(data.width + 4, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        out: Tensor = self.layers(torch.cat([x, self.kinds(kind).to(x.dtype)], dim=1))
        return out


def write_table(path: Path, seed: int) -> None:
    """What the job "table" reads, as several row groups."""
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, (240, 2))
    kind = rng.choice(np.array(["a", "b", "c"]), 240)
    columns = {"x0": x[:, 0], "x1": x[:, 1], "kind": kind, "label": (x[:, 0] > 3).astype(int)}
    pq.write_table(pa.table(columns), path, row_group_size=30)


def of_table() -> Job:
    """Learns means and categories before the first step; the file's path comes as an override."""
    data = Parquet(
        path="unset", features="x*", target="label", extra={"kind": "kind"}, categories="kind", scale="standardize"
    )  # fmt: skip
    common = COMMON | {"batch_size": 40, "epochs": 3}
    return Job(model=OfTable, predict=predict_table, loss="cross_entropy", data=data, **common)


def predict_table(model: nn.Module, batch: Batch) -> Tensor:
    out: Tensor = model(batch.features, batch["kind"])
    return out


JOBS: dict[str, Callable[[], Job]] = {
    "plain": lambda: Job(model=plain, loss="cross_entropy", data=arrays(), metrics=["accuracy"], test=test_data(), **COMMON),
    "normed": lambda: Job(model=network, loss="cross_entropy", data=arrays(), metrics=["accuracy"], ema=0.9, **COMMON),
    "gan": lambda: Job(task=Adversaries, data=arrays(), **COMMON),
    "centres": lambda: Job(task=Centres, data=arrays(), **COMMON),
    "table": of_table,
    "slow": lambda: Job(task=SlowToEvaluate, data=arrays(), **COMMON),
    "best": lambda: Job(
        model=plain, loss="cross_entropy", data=arrays(), stop=Stop(restore_best=True), test=test_data(), **COMMON
    ),
}
