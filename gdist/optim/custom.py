"""Any ``torch.optim`` class, or a function that makes an optimizer of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from gdist.description import nearest
from gdist.errors import JobError
from gdist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    import torch


class Custom(Optimizer):
    """``Custom(make=torch.optim.Adadelta, args={"rho": 0.95})``; a torch.optim class given as the job's optimizer becomes this."""

    kind: ClassVar[str] = "custom"

    lr: float = Field(1e-3, gt=0, description="learning rate")
    maker: Callable[..., Any] = Field(description="class or function: (parameter groups, lr=..., **args) -> torch optimizer")
    args: dict[str, Any] = Field(default_factory=dict, description="its further keyword arguments")

    @model_validator(mode="after")
    def _known_arguments(self) -> Custom:
        parameters = inspect.signature(self.maker).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return self
        for name in self.args:
            if name not in parameters:
                near = nearest(name, parameters)
                raise JobError(
                    f"{getattr(self.maker, '__name__', 'the optimizer')} has no argument `{name}`",
                    help=f"{f'did you mean `{near}`? ' if near else ''}arguments: {', '.join(list(parameters)[1:])}",
                )
        return self

    def make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        parameters = inspect.signature(self.maker).parameters
        rate = {"lr": self.lr} if "lr" in parameters else {}
        if len(groups) == 1 and not self.weight_decay:
            groups[0].pop("weight_decay")  # the class's own default stands
        made: torch.optim.Optimizer = self.maker(groups, **rate, **self.args)
        return made
