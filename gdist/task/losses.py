"""Losses by name: ``criterion(outputs, target)`` -> the mean over the micro-batch, a scalar. Thin over torch.

To add one: a function here, its name in ``LOSSES``, and a line about it in ``gdist/job/measures.py``. What must look at
values is checked on the CPU only: on a GPU looking would wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gdist.description import nearest
from gdist.errors import DataError, JobError

if TYPE_CHECKING:
    from torch import Tensor

Criterion = Callable[["Tensor", "Tensor"], "Tensor"]
_NO_IGNORED_CLASS = -(2**31)  # torch leaves out rows of class -100, and the mean would no longer be over the rows


def mse(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean squared error; outputs [rows, ...] like target (a trailing dimension of 1 may be missing in either)."""
    from torch.nn import functional

    return functional.mse_loss(alike(outputs, target), target.to(outputs.dtype))


def mae(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error; shapes as for mse."""
    from torch.nn import functional

    return functional.l1_loss(alike(outputs, target), target.to(outputs.dtype))


def huber(outputs: Tensor, target: Tensor) -> Tensor:
    """Squared (halved) below an error of 1, linear above (Huber 1964); shapes as for mse."""
    from torch.nn import functional

    return functional.huber_loss(alike(outputs, target), target.to(outputs.dtype))


def cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """Of class scores [rows, ..., classes] and class numbers [rows, ...], or probabilities in the shape of the scores; the mean
    over all of them. Raises DataError for a class number that the model has no output for."""
    from torch.nn import functional

    scores = outputs.reshape(-1, outputs.shape[-1])
    if target.is_floating_point() and target.shape == outputs.shape:
        return functional.cross_entropy(scores, target.reshape(scores.shape).to(outputs.dtype))
    classes = class_numbers(outputs, target)
    try:
        return functional.cross_entropy(scores, classes, ignore_index=_NO_IGNORED_CLASS)
    except IndexError:
        raise _class_without_output(outputs, classes) from None


def binary_cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """Of scores (not probabilities) and labels in [0, 1]; shapes as for mse. Raises DataError for other labels."""
    from torch.nn import functional

    if target.device.type == "cpu" and target.numel():
        low, high = (float(bound) for bound in target.aminmax())
        if low < 0 or high > 1:
            wrong = ((target < 0) | (target > 1)).reshape(len(target), -1).any(dim=1)
            raise DataError(
                f"binary_cross_entropy takes targets in [0, 1], and there is {low if low < 0 else high:g}",
                sample=int(wrong.nonzero()[0]),
                help="labels -1 and 1: loss='hinge', or turn them into 0 and 1",
            )
    return functional.binary_cross_entropy_with_logits(alike(outputs, target), target.to(outputs.dtype))


def hinge(outputs: Tensor, target: Tensor) -> Tensor:
    """max(0, 1 - y score), y = 1 where the target is positive, else -1 (so 0 and 1 do as well as -1 and 1). Of class scores
    [rows, classes]: the margin to each other class, over the number of classes (torch's multi-class margin loss)."""
    import torch
    from torch.nn import functional

    if outputs.dim() == 2 and outputs.shape[1] > 1 and target.shape != outputs.shape:
        classes = class_numbers(outputs, target)
        try:
            return functional.multi_margin_loss(outputs, classes)
        except (RuntimeError, IndexError):
            raise _class_without_output(outputs, classes) from None
    signs = torch.where(target > 0, 1.0, -1.0).to(outputs.dtype)
    return (1 - signs * alike(outputs, target)).clamp(min=0).mean()


LOSSES: dict[str, Criterion] = {f.__name__: f for f in (mse, mae, huber, cross_entropy, binary_cross_entropy, hinge)}
NAMES = tuple(LOSSES)
_LEAVING_OUT = "to leave rows out: a loss that returns Loss(mean, weight=rows used)"


def named(name: str) -> Criterion:
    """The loss called ``name``; raises JobError with the nearest one."""
    if name not in LOSSES:
        near = nearest(name, LOSSES)
        meant = f"did you mean {near!r}? " if near else ""
        raise JobError(f"unknown loss {name!r}", help=f"{meant}losses: {', '.join(LOSSES)}, or a function loss(model, batch)")
    return LOSSES[name]


def alike(outputs: Tensor, target: Tensor) -> Tensor:
    """``outputs`` in the shape of ``target``: broadcasting [n, 1] against [n] would compare all with all."""
    if outputs.shape == target.shape:
        return outputs
    if _without_ones(outputs) == _without_ones(target):
        return outputs.reshape(target.shape)
    raise JobError(
        f"the model's outputs {list(outputs.shape)} do not match the targets {list(target.shape)}",
        help="let the model give one output for each target value",
    )


def class_numbers(outputs: Tensor, target: Tensor) -> Tensor:
    """The targets as int64 [rows * ...], one for each row of scores."""
    if outputs.shape[:-1] != target.shape and _without_ones(target) != [n for n in outputs.shape[:-1] if n != 1]:
        torchs = outputs.dim() > 2 and [outputs.shape[0], *outputs.shape[2:]] == list(target.shape)
        raise JobError(
            f"class scores {list(outputs.shape)} do not match class numbers {list(target.shape)}",
            note="scores are [rows, ..., classes], class numbers [rows, ...]",
            help="classes come last: predict=lambda model, batch: model(batch.features).movedim(1, -1)" if torchs else None,
        )
    classes = target.reshape(-1)
    if classes.is_floating_point() and classes.device.type == "cpu" and not (whole := classes == classes.trunc()).all():
        wrong = int((~whole).nonzero()[0])
        raise DataError(
            f"the target {classes[wrong]:g} is no class number",
            sample=wrong * len(outputs) // len(classes),
            help="for numbers, a loss of numbers: loss='mse'",
        )
    return classes.long()


def _class_without_output(outputs: Tensor, classes: Tensor) -> DataError:
    count = outputs.shape[-1]
    places = ((classes < 0) | (classes >= count)).nonzero()
    wrong = classes[places]
    example = int(wrong[0]) if len(wrong) else 0
    return DataError(
        f"the target has class {example if len(wrong) else '?'}, and the model has outputs for classes 0 to {count - 1}",
        sample=int(places[0]) * len(outputs) // len(classes) if len(wrong) else None,
        note=f"{len(wrong)} of {len(classes)} rows of this micro-batch",
        help=_ignoring(example) if len(wrong) and example < 0 else f"give the model an output for each class; {_LEAVING_OUT}",
    )


def _ignoring(number: int) -> str:
    """torch's own loss passes over -100 by default, in silence."""
    code = "Loss(cross_entropy(model(batch.features)[k], batch.target[k]), weight=k.sum())"
    return f"torch's ignore_index is a loss here: def loss(model, batch): k = batch.target != {number}; return {code}"


def _without_ones(tensor: Tensor) -> list[int]:
    """The shape apart from the rows' dimension's ones: [n, 1] and [n] are the same rows."""
    return [tensor.shape[0] if tensor.dim() else 1, *(n for n in tensor.shape[1:] if n != 1)]
