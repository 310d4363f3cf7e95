"""The seed exercise: linear regression by hand and by the engine are the same descent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gdist.data.order import permute
from gdist.engine.collective import Collective
from gdist.job import Job
from gdist.optim import SGD
from gdist.records import Membership, Order, Wishes
from gdist.worker.member import Member
from tests.ranks import run_ranks

N, D, LR, STEPS = 60, 5, 0.05, 40
X = np.random.default_rng(0).normal(size=(N, D))
Y = X @ np.arange(1.0, D + 1) + 0.3 + 0.1 * np.random.default_rng(1).normal(size=N)


def zeros() -> nn.Module:
    layer = nn.Linear(D, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _by_engine(collective: Collective, batch: int | str, precision: str) -> list[np.ndarray]:
    job = Job(
        model=zeros, loss="mse", data=(torch.tensor(X), torch.tensor(Y)), optimizer=SGD(lr=LR), batch_size=batch, steps=STEPS,
        precision=precision, threads=1,
    )  # fmt: skip
    member = Member(Order(job=job), slot=collective.rank, send=lambda update: None, wishes=Wishes())
    member.prepare()
    member.join(Membership(generation=1, rank=collective.rank, size=collective.size), collective)
    weights = []
    for step in range(STEPS):
        member.built.engine.step(step)
        layer = member.built.task.module
        weights.append(np.append(layer.weight.detach().numpy().ravel().astype(float), float(layer.bias)))
    return weights


def _by_hand(batch: int) -> list[np.ndarray]:
    w, b, weights = np.zeros(D), 0.0, []
    per_epoch = -(-N // batch)
    for step in range(STEPS):
        epoch, within = divmod(step, per_epoch)
        rows = permute(np.arange(N), n=N, seed=0, epoch=epoch)[within * batch : (within + 1) * batch]
        error = X[rows] @ w + b - Y[rows]
        w = w - LR * 2 * X[rows].T @ error / len(rows)  # gradient of mean (x.w + b - y)^2
        b = b - LR * 2 * error.mean()
        weights.append(np.append(w, b))
    return weights


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-6), ("fp64", 1e-12)])
@pytest.mark.parametrize(("batch", "workers"), [("full", 1), ("full", 3), (1, 1), (16, 1), (16, 3)])
def test_engine_and_hand_agree_at_every_step(batch: int | str, workers: int, precision: str, tolerance: float) -> None:
    expected = _by_hand(N if batch == "full" else int(batch))
    for found in run_ranks(_by_engine, workers, batch, precision):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 5)
