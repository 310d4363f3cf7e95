"""gdist: train a PyTorch model on any number of workers, and get the same model.

    from gdist import AdamW, Job, train
    result = train(Job(model=Net, loss="cross_entropy", data=(x, y), optimizer=AdamW(lr=1e-3), epochs=5), workers=2)

Importing gdist loads nothing: each public name is imported when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdist.api import Result, audit, train
    from gdist.data import (
        CSV,
        Arrow,
        Batch,
        DataFacts,
        HuggingFace,
        JSONLines,
        MapStyle,
        Mix,
        Parquet,
        Rows,
        Source,
        Split,
        Tensors,
        Text,
        TrainTokenizer,
    )
    from gdist.errors import GdistError
    from gdist.inference import evaluate, predict
    from gdist.job import Callback, Clip, Job, Stop
    from gdist.optim import SGD, AdaGrad, Adam, AdamW, Custom, Momentum, Optimizer, RMSProp
    from gdist.schedule import Constant, Cosine, Linear, Schedule, StepDecay, WarmupStableDecay
    from gdist.task.task import Descend, Gather, Loss, Task

_WHERE = {  # module -> its public names
    "gdist.api": ("Result", "audit", "train"),
    "gdist.data": (
        "CSV",
        "Arrow",
        "Batch",
        "DataFacts",
        "HuggingFace",
        "JSONLines",
        "MapStyle",
        "Mix",
        "Parquet",
        "Rows",
        "Source",
        "Split",
        "Tensors",
        "Text",
        "TrainTokenizer",
    ),
    "gdist.errors": ("GdistError",),
    "gdist.inference": ("evaluate", "predict"),
    "gdist.job": ("Callback", "Clip", "Job", "Stop"),
    "gdist.optim": ("SGD", "AdaGrad", "Adam", "AdamW", "Custom", "Momentum", "Optimizer", "RMSProp"),
    "gdist.schedule": ("Constant", "Cosine", "Linear", "Schedule", "StepDecay", "WarmupStableDecay"),
    "gdist.task.task": ("Descend", "Gather", "Loss", "Task"),
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "CSV",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Arrow",
    "Batch",
    "Callback",
    "Clip",
    "Constant",
    "Cosine",
    "Custom",
    "DataFacts",
    "Descend",
    "Gather",
    "GdistError",
    "HuggingFace",
    "JSONLines",
    "Job",
    "Linear",
    "Loss",
    "MapStyle",
    "Mix",
    "Momentum",
    "Optimizer",
    "Parquet",
    "RMSProp",
    "Result",
    "Rows",
    "Schedule",
    "Source",
    "Split",
    "StepDecay",
    "Stop",
    "Task",
    "Tensors",
    "Text",
    "TrainTokenizer",
    "WarmupStableDecay",
    "audit",
    "evaluate",
    "predict",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'gdist' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
