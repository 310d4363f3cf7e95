"""Plain gradient descent: ``w -= lr * (g + weight_decay * w)``. Batch, mini-batch or stochastic by the job's batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


class SGD(Optimizer):
    kind = "sgd"
    fused_on = ("cpu", "cuda")

    lr: float = Field(default=0.01, gt=0, description="learning rate, per step")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty added to the gradient")

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(groups, lr=self.lr, weight_decay=self.weight_decay, fused=fused)
