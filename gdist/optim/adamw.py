"""AdamW (Loshchilov & Hutter 2019): Adam whose weight decay shrinks the weights directly, ``w *= 1 - lr * weight_decay``,
instead of passing through the averages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from gdist.optim.adam import Adam

if TYPE_CHECKING:
    import torch


class AdamW(Adam):
    kind = "adamw"

    weight_decay: float = Field(default=0.01, ge=0, description="share of a weight taken off each step, times lr")

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(groups, **self._arguments(), fused=fused)
