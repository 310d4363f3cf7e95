"""Gradient descent with momentum: ``v = momentum * v + (1 - dampening) * g; w -= lr * v`` (Polyak 1964); Nesterov's variant
steps along ``g + momentum * v`` (Sutskever et al. 2013). The velocity starts as the first gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from gdist.description import refuse
from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


class Momentum(Optimizer):
    kind = "momentum"
    fused_on = ("cpu", "cuda")

    lr: float = Field(default=0.01, gt=0, description="learning rate, per step")
    momentum: float = Field(default=0.9, gt=0, lt=1, description="share of the velocity that is kept each step")
    nesterov: bool = Field(default=False, description="look ahead along the velocity")
    dampening: float = Field(default=0.0, ge=0, lt=1, description="share of the new gradient that is left out")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty added to the gradient")

    @model_validator(mode="after")
    def _nesterov_undamped(self) -> Momentum:
        if self.nesterov and self.dampening:
            refuse("`nesterov` needs `dampening` 0", note=f"dampening is {self.dampening}", help="leave one of the two out")
        return self

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(
            groups,
            lr=self.lr,
            momentum=self.momentum,
            dampening=self.dampening,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=fused,
        )
