"""AdamW (Loshchilov & Hutter 2019): Adam whose weight decay shrinks the weights directly, ``w *= 1 - lr * weight_decay``,
instead of passing through the averages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


class AdamW(Optimizer):
    name = "adamw"
    fused_on = ("cpu", "cuda")

    lr: float = Field(default=1e-3, gt=0, description="learning rate, per step")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="share of the average gradient that is kept each step")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="share of the average square that is kept each step")
    eps: float = Field(default=1e-8, gt=0, description="added to the root, against division by zero")
    amsgrad: bool = Field(default=False, description="divide by the largest average square so far (Reddi et al. 2018)")
    weight_decay: float = Field(default=0.01, ge=0, description="share of a weight taken off each step, times lr")

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(
            groups,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            amsgrad=self.amsgrad,
            weight_decay=self.weight_decay,
            fused=fused,
        )
