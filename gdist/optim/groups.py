"""Parameter groups: which parameters take weight decay.

``decay="matrices"`` is the usual practice of deep learning: matrices, convolution kernels and embeddings decay; norms and
biases (fewer than two dimensions) do not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

Decay = Literal["all", "matrices"]


def undecayed(parameters: Sequence[tuple[str, nn.Parameter]], *, decay: Decay) -> set[str]:
    """Names of the parameters that take no weight decay. Needs the parameters in their own shapes, not flattened."""
    return {name for name, parameter in parameters if decay == "matrices" and parameter.dim() < 2}


def parameter_groups(
    parameters: Sequence[tuple[str, nn.Parameter]], *, no_decay: Collection[str], frozen_decay: dict[str, float]
) -> list[dict[str, Any]]:
    """Groups as ``torch.optim`` takes them: those that decay, then those that do not, each in the given order; ``names`` goes
    with each. ``frozen_decay``: what the second group sets, ``{"weight_decay": 0.0}``. An empty group is left out."""
    decays = [(name, parameter) for name, parameter in parameters if name not in no_decay]
    rest = [(name, parameter) for name, parameter in parameters if name in no_decay]
    groups = [_group(decays, {}), _group(rest, frozen_decay)]
    return [group for group in groups if group["params"]]


def _group(members: list[tuple[str, nn.Parameter]], settings: dict[str, float]) -> dict[str, Any]:
    return {"params": [parameter for _, parameter in members], "names": [name for name, _ in members], **settings}
