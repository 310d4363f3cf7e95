"""Initial weights after He et al. 2015 (for ReLU) and Glorot and Bengio 2010 (Xavier; for tanh and linear layers)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Scheme = Literal["he", "xavier"]


def initialize(module: nn.Module, scheme: Scheme) -> nn.Module:
    """Draws the weights of all linear and convolutional layers of ``module`` anew, from torch's generator; biases become 0.
    Returns the module."""
    from torch import nn

    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            if scheme == "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
