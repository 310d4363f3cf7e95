"""The learning rate's course: a factor of the optimizer's rate at each step, known without history.

Steps count attempts from 0, skipped ones too. To add a schedule, write a subclass of ``Schedule`` in a file of its own and
name it in ``gdist/schedule/__init__.py``.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, NonNegativeInt

from gdist.description import Description


class Schedule(Description):
    """Warm-up, then a shape. Linear warm-up after Goyal et al. 2017: step s of W has the factor (s + 1) / W."""

    kind: ClassVar[str]
    needs_total: ClassVar[bool] = False

    warmup: NonNegativeInt = Field(0, description="steps over which the rate rises linearly to its full height")

    def factor(self, step: int, *, total: int | None) -> float:
        """Of step ``step``; ``total``: how many steps the run has (None: not known)."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        return self.shape(step - self.warmup, None if total is None else max(total - self.warmup, 1))

    def shape(self, step: int, total: int | None) -> float:
        """The factor after warm-up, ``step`` counted from its end, of ``total`` steps."""
        raise NotImplementedError
