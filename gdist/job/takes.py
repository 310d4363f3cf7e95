"""What each field of a job takes beyond its type: functions that give the value as it is kept, or raise Wrong.

They look at torch's classes by name, so that a job can be checked without torch.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from typing import Any

from gdist.description import Wrong, nearest, shown
from gdist.errors import JobError
from gdist.job.callback import PLACES, Callback
from gdist.job.measures import LOSSES, METRICS

_OF_TORCH = {  # torch's name for a loss -> ours
    "MSELoss": "mse",
    "mse_loss": "mse",
    "L1Loss": "mae",
    "l1_loss": "mae",
    "HuberLoss": "huber",
    "huber_loss": "huber",
    "SmoothL1Loss": "huber",
    "smooth_l1_loss": "huber",
    "CrossEntropyLoss": "cross_entropy",
    "cross_entropy": "cross_entropy",
    "NLLLoss": "cross_entropy",
    "nll_loss": "cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
    "BCELoss": "binary_cross_entropy",
    "binary_cross_entropy": "binary_cross_entropy",
    "MultiMarginLoss": "hinge",
    "multi_margin_loss": "hinge",
}


def model(value: Any) -> Any:
    """A function or class; a module that is built already cannot be built alike on every worker."""
    if _is_module(value):
        kind = type(value).__name__
        raise Wrong(
            f"must be what makes the model, not a model: it is a {kind}",
            note="every worker makes its own, from the job's seed",
            help=f"model={kind}, model_args={{...}}; or a function: def make(): return {kind}(...)",
        )
    return value


def loss(value: Any) -> Any:
    """A known name, or a function of (model, batch)."""
    if isinstance(value, str):
        if value in LOSSES:
            return value
        near = nearest(value, LOSSES) or _OF_TORCH.get(value)
        meant = f"did you mean {near!r}? " if near else ""
        raise Wrong(
            f"must be a known loss, not {value!r}",
            help=f"{meant}losses: {', '.join(LOSSES)}; or a function loss(model, batch)",
        )
    title = getattr(value, "__name__", type(value).__name__)
    if title in _OF_TORCH and str(getattr(value, "__module__", "")).startswith("torch."):
        raise Wrong(
            f"must be a function of (model, batch), not torch's {title} of (outputs, target)",
            help=f"loss={_OF_TORCH[title]!r}; or lambda model, batch: {title}(...)(model(batch.features), batch.target)"
            if title[0].isupper()
            else f"loss={_OF_TORCH[title]!r}; or lambda model, batch: {title}(model(batch.features), batch.target)",
        )
    return _of_two(value, "loss")


def predict(value: Any) -> Any:
    return _of_two(value, "predict")


def transform(value: Any) -> Any:
    return _of_two(value, "transform", "batch, rng")


def task(value: Any) -> Any:
    """A class with a ``cycle``; an object belongs to one process."""
    if value is None or (isinstance(value, type) and callable(getattr(value, "cycle", None))):
        return value
    if callable(getattr(value, "cycle", None)):
        raise Wrong(f"must be the class, not an object of it: task={type(value).__name__}")
    raise Wrong(f"must be a subclass of gdist.Task, not {shown(value)}")


def data(value: Any) -> Any:
    from gdist.data.wrap import as_source

    if value is None:
        raise Wrong("must be a source, not None", help="Parquet(path=...), Tensors(features=x, target=y), (x, y), or a Dataset")
    return as_source(value)


def validation(value: Any) -> Any:
    """None, a share, a Split, or what ``data`` takes."""
    from gdist.data.split import Split

    return value if isinstance(value, Split) else _share_or_data(value, "validation")


def test(value: Any) -> Any:
    """None, a share, or what ``data`` takes."""
    from gdist.data.split import Split

    if isinstance(value, Split):
        raise Wrong("must be a share between 0 and 1, or a source, not a Split", help="validation=Split(..., test=0.1)")
    return _share_or_data(value, "test")


def _share_or_data(value: Any, field: str) -> Any:
    if value is None:
        return None
    if isinstance(value, int | float):
        if isinstance(value, bool) or not 0 < value < 1:
            raise Wrong(f"must be a share between 0 and 1, or a source, not {value!r}", help=f"{field}=0.1 holds out a tenth")
        return float(value)
    try:
        return data(value)
    except JobError as error:
        help = error.help.replace("data=", f"{field}=") if error.help else None
        raise Wrong(f"is wrong: {error.what.replace('data is', 'it is')}", note=error.note, help=help) from None


def path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def metrics(value: Any) -> Any:
    """A tuple of known names, each once."""
    names = _several(value, "names")
    for each in names:
        if not isinstance(each, str) or each not in METRICS:
            near = nearest(each, METRICS) if isinstance(each, str) else None
            meant = f"did you mean {near!r}? " if near else ""
            raise Wrong(f"must be known metrics: {shown(each)} is none", help=f"{meant}metrics: {', '.join(METRICS)}")
    return tuple(dict.fromkeys(names))


def callbacks(value: Any) -> Any:
    """A tuple of Callback objects without misspelt places."""
    found = _several(value, "callbacks")
    for each in found:
        if isinstance(each, type):
            raise Wrong(f"must be objects: {each.__name__} is a class", help=f"callbacks=[{each.__name__}()]")
        if not isinstance(each, Callback):
            raise Wrong(f"must be gdist.Callback objects: {shown(each)} is none", help=f"places: {', '.join(PLACES)}")
        for place in dir(each):
            if place.startswith("on_") and place not in PLACES:
                near = nearest(place, PLACES)
                meant = f"did you mean `{near}`? " if near else ""
                raise Wrong(
                    f"has `{type(each).__name__}.{place}`, which is never called", help=f"{meant}places: {', '.join(PLACES)}"
                )
    return tuple(found)


def recompute(value: Any) -> Any:
    """'none', 'blocks', or a tuple of names."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        if value in ("none", "blocks"):
            return value
        raise Wrong(
            f"must be 'none', 'blocks' or a list of module names, not {shown(value)}",
            help=f"a single module: recompute=[{value!r}]" if isinstance(value, str) else None,
        )
    return tuple(value) or "none"


def name(value: Any) -> Any:
    """A run's folder is called after it."""
    if isinstance(value, str) and (not value or value.startswith((".", "-")) or set(value) & set("/\\\n\0")):
        raise Wrong(f"must do as a folder's name, not {value!r}", help="letters, digits, - and _")
    return value


def _several(value: Any, what: str) -> list[Any]:
    if isinstance(value, str | Callback):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, dict | bytes):
        return list(value)
    raise Wrong(f"must be a list of {what}, not {shown(value)}")


def _of_two(value: Any, what: str, takes: str = "model, batch") -> Any:
    """The function, if it can be called with two things."""
    if value is None:
        return value
    if not callable(value):
        raise Wrong(f"must be a function {what}({takes}), not {shown(value)}")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return value
    try:
        signature.bind(None, None)
    except TypeError:
        title = getattr(value, "__name__", type(value).__name__)
        raise Wrong(f"must take ({takes}): {title}{signature} does not") from None
    return value


def _is_module(value: Any) -> bool:
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    return "torch.Module" in kinds
