"""Any other optimizer: a ``torch.optim`` class (or one like it), or a function of the parameters that returns one.

    Custom(make_from=torch.optim.NAdam, lr=2e-3, arguments={"momentum_decay": 4e-3})
    Custom(make_from=lambda parameters: Lion(parameters, lr=1e-4))

Invariant: arguments that a class does not take, or takes with another range, are refused when the description is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from gdist.description import nearest, refuse, shown
from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch

    MakeFrom = Callable[..., torch.optim.Optimizer]
else:
    MakeFrom = Callable[..., Any]

_ELEMENTWISE = {"SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop"}
_WHOLE_LOSS = {"LBFGS"}  # calls the loss many times within one step


class Custom(Optimizer):
    make_from: MakeFrom = Field(description="a torch.optim class, or a function: parameters (or groups of them) -> optimizer")
    lr: float | None = Field(default=None, gt=0, description="learning rate, per step; None: what make_from uses itself")
    weight_decay: float | None = Field(default=None, ge=0, description="weight decay; None: what make_from uses itself")
    arguments: dict[str, Any] = Field(default={}, description="further keyword arguments of make_from")

    @property
    def elementwise(self) -> bool:
        return _is_torch_optim(self.make_from) and self.title in _ELEMENTWISE

    @property
    def title(self) -> str:
        return getattr(self.make_from, "__name__", type(self.make_from).__name__)

    @model_validator(mode="after")
    def _takes_the_arguments(self) -> Custom:
        if self.title in _WHOLE_LOSS and _is_torch_optim(self.make_from):
            refuse(
                f"torch.optim.{self.title} evaluates the loss several times in a step",
                note="a gdist step computes one gradient, and every worker applies it once",
                help="use a first-order optimizer: adamw, momentum, ...",
            )
        taken = arguments_of(self.make_from)
        for name in self.keywords():
            if taken is not None and name not in taken:
                near = nearest(name, taken)
                refuse(
                    f"{self.title} takes no argument `{name}`",
                    help=(f"did you mean `{near}`? " if near else "") + f"its arguments: {', '.join(taken) or 'none'}",
                )
        if self.decay == "matrices" and not is_optimizer_class(self.make_from):
            refuse("`decay='matrices'` acts on optimizer classes only", help=f"make the groups in {self.title} itself")
        if is_optimizer_class(self.make_from):
            self._try()
        return self

    def keywords(self) -> dict[str, Any]:
        """All keyword arguments that ``make_from`` gets."""
        own = {"lr": self.lr, "weight_decay": self.weight_decay}
        return {**{name: value for name, value in own.items() if value is not None}, **self.arguments}

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        if is_optimizer_class(self.make_from):
            return self.make_from(groups, **self.keywords())
        optimizer = self.make_from([parameter for group in groups for parameter in group["params"]], **self.keywords())
        if not hasattr(optimizer, "param_groups"):
            refuse(f"{self.title} must return a torch optimizer, not {shown(optimizer)}")
        return optimizer

    def _try(self) -> None:
        """Makes one over a single number: the class itself knows the ranges of its arguments."""
        import torch

        try:
            self.make_from([torch.nn.Parameter(torch.zeros(1, 1))], **self.keywords())
        except Exception as error:
            given = ", ".join(f"{name}={shown(value)}" for name, value in self.keywords().items())
            refuse(f"{self.title} refuses its arguments: {error}", note=f"given: {given or 'none'}")


def is_optimizer_class(value: Any) -> bool:
    """Whether this is a subclass of torch.optim.Optimizer; torch is not imported to find out."""
    return isinstance(value, type) and any(
        base.__name__ == "Optimizer" and base.__module__.startswith("torch.optim") for base in value.__mro__
    )


def arguments_of(make_from: Any) -> list[str] | None:
    """Names of the keyword arguments beyond the parameters; None where any is taken or it cannot be known."""
    try:
        parameters = list(inspect.signature(make_from).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _is_torch_optim(value: Any) -> bool:
    return isinstance(value, type) and value.__module__.startswith("torch.optim")
