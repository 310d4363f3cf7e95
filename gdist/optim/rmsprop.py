"""RMSProp (Hinton 2012): the gradient over the root of a moving average of its square; torch has no fused kernel for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


class RMSProp(Optimizer):
    kind = "rmsprop"

    lr: float = Field(default=0.01, gt=0, description="learning rate, per step")
    alpha: float = Field(default=0.99, ge=0, lt=1, description="share of the average of squares that is kept each step")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="share of the velocity that is kept each step, 0 for none")
    centered: bool = Field(default=False, description="divide by the variance instead of the mean square")
    eps: float = Field(default=1e-8, gt=0, description="added to the root, against division by zero")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty added to the gradient")

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        import torch

        return torch.optim.RMSprop(
            groups,
            lr=self.lr,
            alpha=self.alpha,
            momentum=self.momentum,
            centered=self.centered,
            eps=self.eps,
            weight_decay=self.weight_decay,
        )
