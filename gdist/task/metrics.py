"""Metrics by name, through torchmetrics, with states that add: sums and counts are combined, never means.

To add one, give it a name in ``METRICS``: (torchmetrics class for two classes, for several, its arguments); a regression
metric has one class in both places.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gdist.description import nearest
from gdist.errors import JobError

if TYPE_CHECKING:
    from torch import Tensor

METRICS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "accuracy": ("BinaryAccuracy", "MulticlassAccuracy", {"average": "micro"}),
    "top5_accuracy": ("BinaryAccuracy", "MulticlassAccuracy", {"average": "micro", "top_k": 5}),
    "f1": ("BinaryF1Score", "MulticlassF1Score", {"average": "macro"}),
    "precision": ("BinaryPrecision", "MulticlassPrecision", {"average": "macro"}),
    "recall": ("BinaryRecall", "MulticlassRecall", {"average": "macro"}),
    "auroc": ("BinaryAUROC", "MulticlassAUROC", {"thresholds": 512}),
    "mse": ("MeanSquaredError", "MeanSquaredError", {}),
    "mae": ("MeanAbsoluteError", "MeanAbsoluteError", {}),
    "r2": ("R2Score", "R2Score", {}),
}


class Metrics:
    """Several metrics over the same outputs. The number of classes is learned from the first outputs."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [known(name) for name in names]
        self._metrics: dict[str, Any] = {}

    def reset(self) -> None:
        for metric in self._metrics.values():
            metric.reset()

    def update(self, outputs: Tensor, target: Tensor) -> None:
        """``outputs``: logits [rows, ..., classes] or [rows], or values like ``target``."""
        import torch

        outputs = outputs.detach()
        outputs = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
        classes = outputs.shape[-1] if outputs.dim() == target.dim() + 1 else 1
        if not self._metrics:
            self._metrics = {name: _make(name, classes).to(outputs.device) for name in self._names}
        for name, metric in self._metrics.items():
            if METRICS[name][0].startswith("Binary"):
                metric.update(outputs.reshape(-1, classes) if classes > 1 else outputs.reshape(-1), target.reshape(-1).long())
            else:
                metric.update(outputs.reshape(-1), target.reshape(-1).to(outputs.dtype))

    def states(self) -> dict[str, Tensor]:
        """Tensors of fixed shape, to be added over groups of samples: ``METRIC/STATE``."""
        return {
            f"{m}/{s}": value.detach().clone()
            for m, metric in self._metrics.items()
            for s, value in metric.metric_state.items()
        }

    def compute(self, summed: Mapping[str, Tensor]) -> dict[str, float]:
        """The metrics of all samples, from the sum of their states."""
        values = {}
        for name, metric in self._metrics.items():
            for state in metric.metric_state:
                setattr(metric, state, summed[f"{name}/{state}"].to(metric.device))
            metric._computed = None
            values[name] = float(metric.compute())
        return values


def known(name: str) -> str:
    """``name``, if it is a metric's; raises JobError with the nearest one."""
    if name not in METRICS:
        near = nearest(name, METRICS)
        raise JobError(
            f"unknown metric {name!r}", help=f"{f'did you mean {near!r}? ' if near else ''}metrics: {', '.join(METRICS)}"
        )
    return name


def _make(name: str, classes: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that torchmetrics would like to have
        import torchmetrics.classification
        import torchmetrics.regression

    two, several, arguments = METRICS[name]
    if not two.startswith("Binary"):
        return getattr(torchmetrics.regression, two)(**arguments)
    if classes > 1:
        return getattr(torchmetrics.classification, several)(num_classes=classes, **arguments)
    kept = {key: value for key, value in arguments.items() if key == "thresholds"}
    return getattr(torchmetrics.classification, two)(**kept)
