"""What an optimizer is to a job: a description that builds a ``torch.optim.Optimizer``.

To add one: a file beside ``adam.py`` with a subclass that sets ``kind``, its fields, and ``make``; export it in
``__init__.py``. The command line, ``gdist check`` and the documentation know it from there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from gdist.description import Description, named_kinds
from gdist.optim.groups import Decay, parameter_groups, undecayed

if TYPE_CHECKING:
    import torch
    from torch import nn


class Optimizer(Description):
    """Base of all. ``lr`` is the rate that the schedule's factor multiplies."""

    kind: ClassVar[str] = ""  # what a command line calls it; "" for one that cannot be named there
    fused_on: ClassVar[tuple[str, ...]] = ()  # device types on which torch has one kernel for the whole update

    lr: float | None = Field(default=None, gt=0, description="learning rate, per step")
    weight_decay: float | None = Field(default=None, ge=0, description="weight decay, 0 for none")
    decay: Decay = Field(default="all", description="what decays: 'all', or 'matrices' (no weight decay on norms and biases)")

    @property
    def elementwise(self) -> bool:
        """Whether each element's update depends on that element alone, so that it may run on flat buckets or slices."""
        return True

    def make(self, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
        raise NotImplementedError

    def build(
        self, parameters: Sequence[tuple[str, nn.Parameter]], *, no_decay: Collection[str] | None = None
    ) -> torch.optim.Optimizer:
        """The optimizer over named parameters; every group has ``initial_lr`` and ``names``.

        ``no_decay``: names without weight decay, for parameters that no longer have their own shapes (flat buckets); None:
        by shape, from ``decay``. Fused where torch has it for the device and all parameters are floating point.
        """
        if no_decay is None:
            no_decay = undecayed(parameters, decay=self.decay)
        groups = parameter_groups(parameters, no_decay=no_decay, frozen_decay={"weight_decay": 0.0})
        tensors = [parameter for _, parameter in parameters]
        fused = bool(tensors) and all(t.is_floating_point() and t.device.type in self.fused_on for t in tensors)
        optimizer = self.make(groups, fused=fused)
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        return optimizer


def named_optimizers() -> dict[str, type[Optimizer]]:
    """Every optimizer that has a name, by name."""
    return named_kinds(Optimizer)
