"""The engine's backward gives the bits of torch's own."""

from __future__ import annotations

import pytest
import torch

from gdist.engine.backward import backward


@pytest.mark.parametrize("some", [False, True])
def test_gradients_are_those_of_torch_to_the_bit(some: bool) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    x, coefficient = torch.randn(32, 8), torch.tensor(0.37)
    only = list(model[2].parameters()) if some else None

    def gradients(run: object) -> list[torch.Tensor | None]:
        model.zero_grad()
        for _ in range(2):  # accumulates
            run(model(x).square().mean())  # type: ignore[operator]
        return [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    ours = gradients(lambda mean: backward(mean, coefficient, only=only))
    theirs = gradients(lambda mean: torch.autograd.backward(mean, coefficient, inputs=only))
    assert all((a is None) == (b is None) and (a is None or torch.equal(a, b)) for a, b in zip(ours, theirs, strict=True))
    assert (ours[0] is None) == some
