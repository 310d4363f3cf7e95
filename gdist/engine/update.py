"""The change of a step: decided from the reduced gradient, which is the same bits on every worker, then applied at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from gdist.engine.control import Report
from gdist.engine.flat import FlatParameters
from gdist.engine.gradients import FlatGradients

_LONG = 1 << 20  # elements from which a float32 sum of squares loses digits that matter


class Averages(Protocol):
    """What follows the weights after each change (an exponential moving average)."""

    def update(self) -> None: ...


@dataclass(frozen=True)
class Verdict:
    """``grad_norm``: of the mean gradient, before clipping; ``factor`` makes the reduced sums the gradient to apply (the true
    weight, the loss scale and clipping by norm in one); ``mean_factor``: the same without clipping."""

    finite: bool
    grad_norm: float
    factor: float
    mean_factor: float
    clipped: bool


def decide(gradients: torch.Tensor, report: Report, *, nominal: int, scale: float, clip_norm: float | None) -> Verdict:
    """``gradients``: the flat sums; ``nominal``: the rows by which the passes were weighted; ``scale``: fp16's loss scale."""
    mean_factor = nominal / (report.weight * scale) if report.weight else 1.0
    norm = _norm(gradients) * mean_factor
    clipped = clip_norm is not None and norm > clip_norm
    factor = mean_factor * (clip_norm / (norm + 1e-6) if clip_norm is not None and clipped else 1.0)
    return Verdict(math.isfinite(norm) and math.isfinite(report.loss), norm, factor, mean_factor, clipped)


def _norm(flat: torch.Tensor) -> float:
    """The 2-norm; of many elements by rows of 4,096: one long float32 sum of 17 million squares is off by 7e-4, and costs
    the same."""
    if flat.numel() < _LONG:
        return float(torch.linalg.vector_norm(flat))
    whole = flat.numel() // 4096 * 4096
    rows = torch.linalg.vector_norm(flat[:whole].view(-1, 4096), dim=1)
    rest = torch.linalg.vector_norm(flat[whole:])
    return math.hypot(float(torch.linalg.vector_norm(rows, dtype=torch.float64)), float(rest))


class Update:
    """An optimizer over parameters that lie in a flat tensor. ``schedule``: step -> factor of every group's initial rate."""

    def __init__(
        self,
        parameters: FlatParameters,
        optimizer: torch.optim.Optimizer,
        *,
        schedule: Callable[[int], float] = lambda step: 1.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        averages: Averages | None = None,
    ) -> None:
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self._clip_value = clip_value
        self._parameters = parameters
        self._schedule = schedule
        self._averages = averages
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def learning_rate(self, step: int) -> float:
        """Of the first parameter group, at step ``step``."""
        return float(self.optimizer.param_groups[0]["initial_lr"]) * self._schedule(step)

    @torch.no_grad()
    def apply(self, step: int, storage: FlatGradients, report: Report, verdict: Verdict) -> None:
        """Moves the parameters. One without a gradient from any worker is left out, as torch leaves it out."""
        if verdict.factor != 1.0:
            storage.gradients.mul_(verdict.factor)
        if self._clip_value is not None:
            storage.gradients.clamp_(-self._clip_value, self._clip_value)
        factor = self._schedule(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        for parameter, view, used in zip(self._parameters.parameters, storage.views, report.has_gradient.tolist(), strict=True):
            parameter.grad = view if used else None
        self.optimizer.step()
        for parameter in self._parameters.parameters:
            parameter.grad = None
        if self._averages is not None:
            self._averages.update()
