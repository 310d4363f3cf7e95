"""Initial weights after He et al. 2015 (variance 2 / fan-in, for ReLU) and Glorot & Bengio 2010 (Xavier: variance
2 / (fan-in + fan-out), for tanh and linear layers)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gdist.errors import JobError

if TYPE_CHECKING:
    from torch import Generator, nn

Scheme = Literal["he", "xavier"]


def initialize(module: nn.Module, scheme: Scheme, *, generator: Generator | None = None) -> nn.Module:
    """Draws the weights of all linear and convolutional layers of ``module`` anew, in the order of its modules, from
    ``generator`` (None: torch's own); their biases become 0. Other layers stay. Returns the module; raises JobError where
    there is no such layer.

    >>> from torch import nn
    >>> float(initialize(nn.Linear(3, 2), "he").bias.detach().abs().max())
    0.0
    """
    from torch import nn

    layers = [each for each in module.modules() if isinstance(each, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    if not layers:
        raise JobError(
            f"`initialize`={scheme!r} finds no linear or convolutional layer in the model", help="leave `initialize` out"
        )
    for layer in layers:
        if scheme == "he":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        else:
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return module
