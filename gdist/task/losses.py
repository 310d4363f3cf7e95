"""Losses by name: ``criterion(outputs, target)`` -> the mean over the micro-batch, a scalar. Thin over torch.

To add one, write a function here and give it a name in ``LOSSES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gdist.description import nearest
from gdist.errors import JobError

if TYPE_CHECKING:
    from torch import Tensor

Criterion = Callable[["Tensor", "Tensor"], "Tensor"]


def mse(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean squared error; outputs [rows, ...] like target (a trailing dimension of 1 may be missing in either)."""
    from torch.nn import functional

    return functional.mse_loss(_like(outputs, target), target.to(outputs.dtype))


def mae(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error."""
    from torch.nn import functional

    return functional.l1_loss(_like(outputs, target), target.to(outputs.dtype))


def huber(outputs: Tensor, target: Tensor) -> Tensor:
    """Huber 1964: squared below 1, linear above."""
    from torch.nn import functional

    return functional.huber_loss(_like(outputs, target), target.to(outputs.dtype))


def cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """Of logits [rows, ..., classes] and class indices [rows, ...], the mean over all of them."""
    from torch.nn import functional

    return functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), target.reshape(-1).long())


def binary_cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """Of logits and labels in [0, 1]."""
    from torch.nn import functional

    return functional.binary_cross_entropy_with_logits(_like(outputs, target), target.to(outputs.dtype))


def hinge(outputs: Tensor, target: Tensor) -> Tensor:
    """max(0, 1 - y f), y = -1 or 1 (labels 0 and 1 are read as -1 and 1); several outputs: Crammer and Singer's form."""
    from torch.nn import functional

    if outputs.dim() == 2 and outputs.shape[1] > 1:
        return functional.multi_margin_loss(outputs, target.long())
    signs = target.to(outputs.dtype)
    signs = signs.where(signs > 0, -signs.new_ones(()))
    return (1 - signs * _like(outputs, target)).clamp(min=0).mean()


LOSSES: dict[str, Criterion] = {f.__name__: f for f in (mse, mae, huber, cross_entropy, binary_cross_entropy, hinge)}


def named(name: str) -> Criterion:
    """The loss called ``name``; raises JobError with the nearest one."""
    if name not in LOSSES:
        near = nearest(name, LOSSES)
        raise JobError(
            f"unknown loss {name!r}",
            help=f"{f'did you mean {near!r}? ' if near else ''}losses: {', '.join(LOSSES)}, or a function loss(model, batch)",
        )
    return LOSSES[name]


def _like(outputs: Tensor, target: Tensor) -> Tensor:
    """``outputs`` in the shape of ``target``: broadcasting [n, 1] against [n] would compare all with all."""
    if outputs.shape == target.shape:
        return outputs
    if outputs.numel() == target.numel() and outputs.shape[0] == target.shape[0]:
        return outputs.reshape(target.shape)
    raise JobError(
        f"the model's outputs {list(outputs.shape)} do not match the target {list(target.shape)}",
        where="loss",
        help="let the model give one output for each target value",
    )
