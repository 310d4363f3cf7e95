"""How large a gradient may be: by its global norm, or by each value. Decided from the reduced gradient, the same bits on
every worker."""

from __future__ import annotations

from pydantic import Field, model_validator

from gdist.description import Description, refuse


class Clip(Description):
    """``Clip(norm=1.0)`` or ``Clip(value=0.5)``, one of the two."""

    norm: float | None = Field(default=None, gt=0, description="largest L2 norm of the whole gradient; it is scaled down to it")
    value: float | None = Field(default=None, gt=0, description="largest absolute value of each element of the gradient")

    @model_validator(mode="after")
    def _one_of_two(self) -> Clip:
        if self.norm is not None and self.value is not None:
            refuse("`clip.norm` and `clip.value` are both given", help="clip by one of the two: Clip(norm=1.0)")
        if self.norm is None and self.value is None:
            refuse("`clip` says neither norm nor value", help="Clip(norm=1.0), or clip=None for no clipping")
        return self
