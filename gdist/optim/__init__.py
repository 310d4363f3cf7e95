"""Optimizers, one a file, and the moving average of the weights."""

from __future__ import annotations

from typing import Any

from gdist.description import nearest
from gdist.errors import JobError
from gdist.optim.adagrad import AdaGrad
from gdist.optim.adam import Adam
from gdist.optim.adamw import AdamW
from gdist.optim.custom import Custom
from gdist.optim.momentum import Momentum
from gdist.optim.optimizer import Optimizer
from gdist.optim.rmsprop import RMSProp
from gdist.optim.sgd import SGD

OPTIMIZERS: dict[str, type[Optimizer]] = {o.kind: o for o in (SGD, Momentum, AdaGrad, RMSProp, Adam, AdamW, Custom)}


def as_optimizer(value: Any) -> Optimizer:
    """An optimizer, its name, {"kind": name, field: value}, a torch.optim class, or a function of parameters."""
    if isinstance(value, Optimizer):
        return value
    if callable(value):
        return Custom(maker=value)
    fields = dict(value) if isinstance(value, dict) else {"kind": value}
    kind = fields.pop("kind", None)
    if kind not in OPTIMIZERS:
        near = nearest(str(kind), OPTIMIZERS)
        raise JobError(
            f"unknown optimizer {kind!r}",
            help=f"{f'did you mean {near!r}? ' if near else ''}optimizers: {', '.join(OPTIMIZERS)}, or a torch.optim class",
        )
    return OPTIMIZERS[kind](**fields)


__all__ = [
    "OPTIMIZERS",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Custom",
    "Momentum",
    "Optimizer",
    "RMSProp",
    "as_optimizer",
]
