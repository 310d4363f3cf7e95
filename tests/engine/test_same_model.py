"""The mathematics does not depend on the number of workers; with exact, not even the bits do."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch

from gdist.engine.collective import Collective
from tests.engine.cases import CASES, make_engine
from tests.ranks import run_ranks

STEPS = 200
WORKERS = (2, 3, 4)


def _losses(collective: Collective, name: str, steps: int) -> list[float]:
    engine = make_engine(CASES[name])
    engine.join(collective)
    return [engine.step(n, weights_hash=engine.replica.fingerprint()).loss for n in range(steps)]


def _bits(collective: Collective, name: str, dtype: str, steps: int) -> tuple[int, list[float]]:
    torch.use_deterministic_algorithms(True)
    engine = make_engine(CASES[name], dtype=dtype, exact=True)
    engine.join(collective)
    losses = [engine.step(n).loss for n in range(steps)]
    return engine.replica.fingerprint(), losses


def _gradient(collective: Collective, name: str) -> np.ndarray:
    """Of one step in float32, from the same weights: the change that plain gradient descent makes."""
    engine = make_engine(CASES[name], dtype="fp32")
    update = engine._parts[0].update  # type: ignore[union-attr]
    update.optimizer = torch.optim.SGD(list(engine.replica.module.parameters()), lr=1.0)
    for group in update.optimizer.param_groups:
        group["initial_lr"] = 1.0
    engine.join(collective)
    before = _flat(engine)
    engine.step(0)
    return before - _flat(engine)


def _flat(engine: Any) -> np.ndarray:
    return torch.cat([p.detach().double().flatten() for p in engine.replica.module.parameters()]).numpy()


@functools.cache
def _alone(name: str) -> list[float]:
    return run_ranks(_losses, 1, name, STEPS)[0]


@pytest.mark.parametrize("size", WORKERS)
@pytest.mark.parametrize("name", CASES)
def test_float64_losses_agree_to_1e9_at_each_of_200_steps(name: str, size: int) -> None:
    found = run_ranks(_losses, size, name, STEPS)
    assert all(losses == found[0] for losses in found)
    np.testing.assert_allclose(found[0], _alone(name), rtol=1e-9)


@pytest.mark.parametrize("size", WORKERS)
@pytest.mark.parametrize("name", CASES)
def test_float32_gradient_of_a_step_agrees_to_1e5_in_norm(name: str, size: int) -> None:
    alone, found = run_ranks(_gradient, 1, name)[0], run_ranks(_gradient, size, name)
    for gradient in found:
        assert np.linalg.norm(gradient - alone) <= 1e-5 * np.linalg.norm(alone)


@pytest.mark.parametrize("name", CASES)
def test_exact_weights_are_the_same_bits_at_1_2_3_and_4_workers(name: str) -> None:
    alone = run_ranks(_bits, 1, name, "fp32", 40)[0]
    for size in WORKERS:
        for found in run_ranks(_bits, size, name, "fp32", 40):
            assert found == alone
