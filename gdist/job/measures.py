"""The names of losses and metrics, with what each is: known without torch, so that a job can be checked and help printed.

The functions are in ``gdist.task.losses`` and ``gdist.task.metrics``; a test holds the names together.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

LOSSES: dict[str, str] = {
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "huber": "squared below 1, absolute above (Huber 1964)",
    "cross_entropy": "softmax cross-entropy of class scores [rows, classes] and class numbers [rows]",
    "binary_cross_entropy": "logistic loss of scores (not probabilities) and targets in [0, 1]",
    "hinge": "hinge loss: max(0, 1 - y * score), y the sign of the target; of class scores, torch's multi-class margin",
}


class Measure(NamedTuple):
    better: Literal["lower", "higher"]
    summary: str
    of_classes: bool  # of class scores; else of numbers


METRICS: dict[str, Measure] = {
    "accuracy": Measure("higher", "share of rows whose class is right", True),
    "top5_accuracy": Measure("higher", "share of rows whose class is among the five highest scores", True),
    "precision": Measure("higher", "right among those named a class, mean over classes", True),
    "recall": Measure("higher", "found among those of a class, mean over classes", True),
    "f1": Measure("higher", "harmonic mean of precision and recall, mean over classes", True),
    "auroc": Measure("higher", "area under the ROC curve at 200 thresholds, mean over classes", True),
    "mse": Measure("lower", "mean squared error", False),
    "rmse": Measure("lower", "root of the mean squared error", False),
    "mae": Measure("lower", "mean absolute error", False),
    "r2": Measure("higher", "share of the targets' variance that is explained", False),
}


def better(name: str) -> Literal["lower", "higher"]:
    """Which values of a loss or metric are better; of an unknown one, lower."""
    return METRICS[name].better if name in METRICS else "lower"
