"""Adam (Kingma & Ba 2015): moving averages of the gradient and of its square, corrected for their start at zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from gdist.description import Wrong, shown
from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


class Adam(Optimizer):
    kind = "adam"
    fused_on = ("cpu", "cuda")

    lr: float = Field(default=1e-3, gt=0, description="learning rate, per step")
    betas: tuple[float, float] = Field(
        default=(0.9, 0.999), description="shares of the average gradient and of the average square kept each step, in [0, 1)"
    )
    eps: float = Field(default=1e-8, gt=0, description="added to the root, against division by zero")
    amsgrad: bool = Field(default=False, description="divide by the largest average square so far (Reddi et al. 2018)")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty added to the gradient")

    @field_validator("betas", mode="before")
    @classmethod
    def _two_shares(cls, value: Any) -> Any:
        betas = tuple(value) if isinstance(value, list | tuple) else ()
        if len(betas) != 2 or not all(isinstance(b, int | float) and 0 <= b < 1 for b in betas):
            raise Wrong(f"must be two numbers in [0, 1), not {shown(value)}", help="the usual: betas=(0.9, 0.999)")
        return betas

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(groups, **self._arguments(), fused=fused)

    def _arguments(self) -> dict[str, Any]:
        return {
            "lr": self.lr,
            "betas": self.betas,
            "eps": self.eps,
            "amsgrad": self.amsgrad,
            "weight_decay": self.weight_decay,
        }
