"""Optimizers are torch's, and torch's are the formulas: checked against both."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gdist.errors import JobError
from gdist.optim import SGD, AdaGrad, Adam, AdamW, Custom, Momentum, Optimizer, RMSProp, as_optimizer, named_optimizers

PAIRS: list[tuple[Optimizer, Callable[[Any], torch.optim.Optimizer]]] = [
    (SGD(lr=0.1, weight_decay=0.01), lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01)),
    (Momentum(lr=0.1, momentum=0.8), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8)),
    (Momentum(lr=0.1, nesterov=True), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    (AdaGrad(lr=0.1, lr_decay=0.01), lambda p: torch.optim.Adagrad(p, lr=0.1, lr_decay=0.01)),
    (RMSProp(lr=0.01, momentum=0.5), lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5)),
    (Adam(lr=0.01, betas=(0.8, 0.9)), lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.9))),
    (AdamW(lr=0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
    (
        Custom(make_from=torch.optim.NAdam, lr=0.01, arguments={"momentum_decay": 0.01}),
        lambda p: torch.optim.NAdam(p, lr=0.01, momentum_decay=0.01),
    ),
    (Custom(make_from=lambda p: torch.optim.Rprop(p, lr=0.02)), lambda p: torch.optim.Rprop(p, lr=0.02)),
]


def model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)).double()


def descend(module: nn.Module, optimizer: torch.optim.Optimizer, *, steps: int = 12) -> torch.Tensor:
    inputs = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(8, 5)
    for _ in range(steps):
        optimizer.zero_grad()
        module(inputs).square().mean().backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda each: getattr(each, "kind", None) or None)
def test_the_weights_are_those_of_torch(ours: Optimizer, theirs: Callable[[Any], torch.optim.Optimizer]) -> None:
    one, other = model(), model()
    found = descend(one, ours.build(list(one.named_parameters())))
    expected = descend(other, theirs(other.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def weight_after(optimizer: Optimizer, gradients: list[float], *, start: float = 2.0) -> float:
    weight = nn.Parameter(torch.tensor([[start]], dtype=torch.float64))
    built = optimizer.build([("w", weight)])
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        built.step()
    return float(weight.detach())


def test_sgd_momentum_and_nesterov_follow_their_formulas() -> None:
    gradients = [0.5, -1.0, 0.25]
    plain = heavy = nesterov = 2.0
    velocity = 0.0
    for gradient in gradients:
        plain -= 0.1 * gradient
        velocity = 0.9 * velocity + gradient
        heavy -= 0.1 * velocity
        nesterov -= 0.1 * (gradient + 0.9 * velocity)
    assert weight_after(SGD(lr=0.1), gradients) == pytest.approx(plain, rel=1e-12)
    assert weight_after(Momentum(lr=0.1), gradients) == pytest.approx(heavy, rel=1e-12)
    assert weight_after(Momentum(lr=0.1, nesterov=True), gradients) == pytest.approx(nesterov, rel=1e-12)


def test_adagrad_rmsprop_and_adamw_follow_their_formulas() -> None:
    gradients = [0.5, -1.0, 0.25]
    ada = rms = adamw = 2.0
    total = square = mean = variance = 0.0
    for step, g in enumerate(gradients, 1):
        total += g * g
        ada -= 0.1 * g / (math.sqrt(total) + 1e-10)
        square = 0.99 * square + 0.01 * g * g
        rms -= 0.1 * g / (math.sqrt(square) + 1e-8)
        mean, variance = 0.9 * mean + 0.1 * g, 0.999 * variance + 0.001 * g * g
        adamw *= 1 - 0.1 * 0.5
        adamw -= 0.1 * (mean / (1 - 0.9**step)) / (math.sqrt(variance / (1 - 0.999**step)) + 1e-8)
    assert weight_after(AdaGrad(lr=0.1), gradients) == pytest.approx(ada, rel=1e-9)
    assert weight_after(RMSProp(lr=0.1), gradients) == pytest.approx(rms, rel=1e-9)
    assert weight_after(AdamW(lr=0.1, weight_decay=0.5), gradients) == pytest.approx(adamw, rel=1e-9)


def test_norms_and_biases_do_not_decay_with_the_one_word() -> None:
    named = list(model().named_parameters())
    built = AdamW(lr=0.01, weight_decay=0.1, decay="matrices").build(named)
    by_decay = {group["weight_decay"]: group["names"] for group in built.param_groups}
    assert by_decay == {0.1: ["0.weight", "3.weight"], 0.0: ["0.bias", "1.weight", "1.bias", "3.bias"]}
    assert [g["weight_decay"] for g in AdamW(weight_decay=0.1).build(named).param_groups] == [0.1]
    shapeless = [(name, nn.Parameter(p.detach().flatten())) for name, p in named]
    told = AdamW(weight_decay=0.1, decay="matrices").build(shapeless, no_decay={"0.bias"})
    assert [group["weight_decay"] for group in told.param_groups] == [0.1, 0.0]
    assert told.param_groups[1]["names"] == ["0.bias"]


@pytest.mark.parametrize("kind", named_optimizers().values(), ids=lambda kind: kind.kind)
def test_every_group_keeps_its_initial_rate_and_is_fused_where_torch_can(kind: type[Optimizer]) -> None:
    built = kind().build(list(model().named_parameters()))
    assert all(group["initial_lr"] == group["lr"] == kind().lr for group in built.param_groups)
    assert all(bool(group.get("fused")) == (kind is not RMSProp) for group in built.param_groups)


def test_whole_number_parameters_are_not_fused() -> None:
    mixed = [("w", nn.Parameter(torch.zeros(2))), ("n", nn.Parameter(torch.zeros(2, dtype=torch.long), requires_grad=False))]
    assert not SGD().build(mixed).param_groups[0]["fused"]


def test_whatever_means_an_optimizer_is_understood() -> None:
    assert as_optimizer("adamw") == AdamW()
    assert as_optimizer(Momentum) == Momentum()
    assert as_optimizer({"kind": "adam", "betas": [0.5, 0.6]}) == Adam(betas=(0.5, 0.6))
    assert as_optimizer(torch.optim.Adamax).title == "Adamax"  # type: ignore[attr-defined]
    built = as_optimizer(torch.optim.Adamax).build(list(model().named_parameters()))
    assert isinstance(built, torch.optim.Adamax)
    assert built.param_groups[0]["initial_lr"] == 0.002


def test_flat_buckets_are_for_optimizers_that_work_element_by_element() -> None:
    assert AdamW().elementwise
    assert Custom(make_from=torch.optim.NAdam).elementwise
    assert not Custom(make_from=torch.optim.Adafactor).elementwise
    assert not Custom(make_from=lambda parameters: torch.optim.SGD(parameters)).elementwise


WRONG: dict[str, tuple[Callable[[], object], str, str]] = {
    "unknown argument of a torch class": (
        lambda: Custom(make_from=torch.optim.NAdam, arguments={"momentum_dcay": 1e-3}),
        "NAdam takes no argument `momentum_dcay`",
        "did you mean `momentum_decay`?",
    ),
    "a value that the torch class refuses": (
        lambda: Custom(make_from=torch.optim.NAdam, arguments={"betas": (2.0, 0.9)}),
        "NAdam refuses its arguments: Invalid beta parameter at index 0: 2.0",
        "given: betas=(2.0, 0.9)",
    ),
    "an optimizer that needs the loss itself": (
        lambda: Custom(make_from=torch.optim.LBFGS),
        "torch.optim.LBFGS evaluates the loss several times in a step",
        "first-order",
    ),
    "groups asked of a function": (
        lambda: Custom(make_from=lambda p: torch.optim.SGD(p), decay="matrices"),
        "`decay='matrices'` acts on optimizer classes only",
        "make the groups",
    ),
    "nesterov with dampening": (lambda: Momentum(nesterov=True, dampening=0.1), "`nesterov` needs `dampening` 0", "leave one"),
}


@pytest.mark.parametrize(("make", "what", "mend"), WRONG.values(), ids=WRONG)
def test_a_wrong_optimizer_is_refused_when_it_is_described(make: Callable[[], object], what: str, mend: str) -> None:
    with pytest.raises(JobError) as caught:
        make()
    assert caught.value.what == what
    assert mend in str(caught.value)
    assert "test_optimizers.py" in (caught.value.where or "")
