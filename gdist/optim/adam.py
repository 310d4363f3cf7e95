"""Adam (Kingma & Ba 2015): moving averages of the gradient and of its square, corrected for their start at zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


class Adam(Optimizer):
    name = "adam"
    fused_on = ("cpu", "cuda")

    lr: float = Field(default=1e-3, gt=0, description="learning rate, per step")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="share of the average gradient that is kept each step")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="share of the average square that is kept each step")
    eps: float = Field(default=1e-8, gt=0, description="added to the root, against division by zero")
    amsgrad: bool = Field(default=False, description="divide by the largest average square so far (Reddi et al. 2018)")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty added to the gradient")

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(
            groups,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            amsgrad=self.amsgrad,
            weight_decay=self.weight_decay,
            fused=fused,
        )
