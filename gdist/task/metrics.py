"""Metrics by name, through torchmetrics, with states that add: sums and counts are combined, never means.

Outputs are scores, as the named losses take them: one score for two classes (positive means the second), or [rows, ...,
classes]. Invariant: what a group of samples contributes does not depend on how the samples are grouped; so scores become
probabilities here, always (torchmetrics would only where it sees values outside [0, 1]), and sums are in float64.

To add one: its torchmetrics classes in ``_MADE_OF``, and a line about it in ``gdist/job/measures.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gdist.description import nearest
from gdist.errors import DataError, JobError
from gdist.job.measures import METRICS
from gdist.task.losses import alike, class_numbers

if TYPE_CHECKING:
    from torch import Tensor

# name: (torchmetrics class for two classes or for numbers, for several classes, its arguments there)
_MADE_OF: dict[str, tuple[str | None, str | None, dict[str, Any]]] = {
    "accuracy": ("BinaryAccuracy", "MulticlassAccuracy", {"average": "micro"}),
    "top5_accuracy": (None, "MulticlassAccuracy", {"average": "micro", "top_k": 5}),
    "precision": ("BinaryPrecision", "MulticlassPrecision", {"average": "macro"}),
    "recall": ("BinaryRecall", "MulticlassRecall", {"average": "macro"}),
    "f1": ("BinaryF1Score", "MulticlassF1Score", {"average": "macro"}),
    "auroc": ("BinaryAUROC", "MulticlassAUROC", {"average": "macro", "thresholds": 200}),
    "mse": ("MeanSquaredError", None, {}),
    "rmse": ("MeanSquaredError", None, {"squared": False}),
    "mae": ("MeanAbsoluteError", None, {}),
    "r2": ("R2Score", None, {}),
}
_ALONE = {"sync_on_compute": False, "dist_sync_on_step": False, "compute_with_cache": False}  # gdist reduces, not torchmetrics


class Metrics:
    """Several metrics over the same outputs. The number of classes is learned from the first outputs.

    Each group of samples: ``reset``, ``update`` with its batches, ``states``; the states of all groups are added, and
    ``compute`` gives the values.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [known(name) for name in names]
        self._metrics: dict[str, Any] = {}
        self._classes = 1

    def reset(self) -> None:
        """Forgets the samples, keeps the number of classes."""
        for metric in self._metrics.values():
            metric.reset()

    def update(self, outputs: Tensor, target: Tensor) -> None:
        """``outputs``: scores [rows, ..., classes] with ``target`` [rows, ...] of class numbers; or values like ``target``.
        Raises JobError where the shapes do not go together, DataError for a class without an output."""
        outputs = outputs.detach().double()
        if not self._metrics:
            self._classes = outputs.shape[-1] if outputs.dim() == target.dim() + 1 and outputs.dim() > 1 else 1
            self._metrics = {name: _make(name, self._classes, outputs) for name in self._names}
        of_classes = [name for name in self._names if METRICS[name].of_classes]
        if of_classes:
            scores, classes = self._as_classes(outputs, target)
            with _counting():
                for name in of_classes:
                    self._metrics[name].update(scores, classes)
        for name in self._names:
            if name not in of_classes:
                values = alike(outputs, target)
                self._metrics[name].update(values.reshape(-1), target.reshape(-1).double())

    def states(self) -> dict[str, Tensor]:
        """Tensors of fixed shapes, to be added over groups of samples, by ``METRIC/STATE``; empty before the first outputs."""
        return {
            f"{name}/{state}": value.detach().clone()
            for name, metric in self._metrics.items()
            for state, value in metric.metric_state.items()
        }

    def compute(self, summed: Mapping[str, Tensor]) -> dict[str, float]:
        """The metrics of all samples, from the sum of their states; NaN where one is not defined (R2 of a single sample)."""
        values = {}
        for name, metric in self._metrics.items():
            own = {state: getattr(metric, state) for state in metric.metric_state}
            for state, before in own.items():
                setattr(metric, state, summed[f"{name}/{state}"].to(before.device, before.dtype))
            with _quiet():
                try:
                    values[name] = float(metric.compute())
                except ValueError:
                    values[name] = float("nan")
            for state, before in own.items():
                setattr(metric, state, before)
        return values

    def _as_classes(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and class numbers, flattened over all but the classes."""
        if self._classes == 1:
            return alike(outputs, target).reshape(-1).sigmoid(), (target.reshape(-1) > 0).long()
        classes = class_numbers(outputs, target)
        if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < self._classes:
            wrong = int(classes.min()) if int(classes.min()) < 0 else int(classes.max())
            raise DataError(f"the target has class {wrong}, and the model has outputs for classes 0 to {self._classes - 1}")
        return outputs.reshape(-1, self._classes).softmax(-1), classes


def known(name: str) -> str:
    """``name``, if it is a metric's; raises JobError with the nearest one."""
    if name not in METRICS:
        near = nearest(name, METRICS)
        meant = f"did you mean {near!r}? " if near else ""
        raise JobError(f"unknown metric {name!r}", help=f"{meant}metrics: {', '.join(METRICS)}")
    return name


def _make(name: str, classes: int, like: Tensor) -> Any:
    two, several, arguments = _MADE_OF[name]
    if classes > 1 and name == "top5_accuracy" and classes <= 5:
        raise JobError(f"top5_accuracy is always 1 with {classes} classes", help="metrics=['accuracy']")
    if classes == 1 and two is None:
        raise JobError(
            f"{name} needs scores [rows, classes], and the model has one output for a row",
            help=f"of numbers: {', '.join(n for n, m in METRICS.items() if not m.of_classes)}",
        )
    with _quiet():
        import torchmetrics.classification as of_classes
        import torchmetrics.regression as of_numbers

        if not METRICS[name].of_classes:
            metric = getattr(of_numbers, str(two))(**arguments, **_ALONE)
        elif classes > 1:
            metric = getattr(of_classes, str(several))(num_classes=classes, validate_args=False, **arguments, **_ALONE)
        else:
            kept = {key: value for key, value in arguments.items() if key == "thresholds"}
            metric = getattr(of_classes, str(two))(validate_args=False, **kept, **_ALONE)
    return metric.set_dtype(like.dtype).to(like.device)


@contextmanager
def _counting() -> Iterator[None]:
    """Without torch's deterministic mode, in which torchmetrics counts by comparing each value with each bin: of 256 rows of
    10 classes that took gigabytes. Counts of whole numbers are the same in any order.
    """
    import torch

    before, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torchmetrics' warnings: of packages it would like to have, of classes without samples, of unused states."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
