"""What a job takes as its optimizer: a description, a name, a dict with ``kind``, a torch.optim class, or a function."""

from __future__ import annotations

from typing import Any

from gdist.description import Wrong, kind_called, shown
from gdist.optim.custom import Custom
from gdist.optim.optimizer import Optimizer, named_optimizers


def as_optimizer(value: Any) -> Optimizer:
    """Raises Wrong or JobError for what cannot be an optimizer. Torch's own SGD and Adam become Custom, with their defaults."""
    context = {"prefix": "optimizer."}
    if isinstance(value, Optimizer):
        return value
    if isinstance(value, str):
        return optimizer_class(value)()
    if isinstance(value, dict):
        fields = dict(value)
        kind = fields.pop("kind", None)
        if not isinstance(kind, str):
            raise Wrong("as a dict needs its `kind`", help=f"kind: one of {', '.join(named_optimizers())}")
        return optimizer_class(kind).model_validate(fields, context=context)
    if isinstance(value, type) and issubclass(value, Optimizer):
        return value.model_validate({}, context=context)
    if callable(value):
        return Custom.model_validate({"make_from": value}, context=context)
    if hasattr(value, "param_groups"):
        raise Wrong(
            f"is already built: {type(value).__name__} holds parameters of one model",
            help="gdist builds it on every worker: give the class, optimizer=Custom(make_from=torch.optim...., lr=...)",
        )
    raise Wrong(f"must be an optimizer, not {shown(value)}", help=f"names: {', '.join(named_optimizers())}; or SGD(lr=0.1)")


def optimizer_class(name: str) -> type[Optimizer]:
    return kind_called(name, Optimizer, what="optimizer", else_="; or a torch.optim class")
