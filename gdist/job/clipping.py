"""Bounds on the gradient before it is followed."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, model_validator

from gdist.description import Description
from gdist.errors import JobError


class Clip(Description):
    """By the norm of the whole gradient (Pascanu et al. 2013), or by each value."""

    norm: PositiveFloat | None = Field(None, description="the gradient is scaled down to this 2-norm where it is longer")
    value: PositiveFloat | None = Field(None, description="each value of the gradient is cut to [-value, value]")

    @model_validator(mode="after")
    def _one_of_them(self) -> Clip:
        if (self.norm is None) == (self.value is None):
            raise JobError("clip needs either a norm or a value", help="Clip(norm=1.0) or Clip(value=0.5)")
        return self
