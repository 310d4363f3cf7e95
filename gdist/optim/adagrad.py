"""AdaGrad (Duchi et al. 2011): each weight's rate shrinks with the root of the sum of its squared gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


class AdaGrad(Optimizer):
    kind = "adagrad"
    fused_on = ("cpu",)

    lr: float = Field(default=0.01, gt=0, description="learning rate, per step")
    lr_decay: float = Field(default=0.0, ge=0, description="divides the rate by 1 + step * lr_decay")
    initial_accumulator_value: float = Field(default=0.0, ge=0, description="what the sum of squares starts from")
    eps: float = Field(default=1e-10, gt=0, description="added to the root, against division by zero")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty added to the gradient")

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adagrad(
            groups,
            lr=self.lr,
            lr_decay=self.lr_decay,
            initial_accumulator_value=self.initial_accumulator_value,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=fused,
        )
