"""The rate falls along half a cosine (Loshchilov and Hutter 2016, without restarts)."""

import math
from typing import ClassVar

from pydantic import Field

from gdist.schedule.schedule import Schedule


class Cosine(Schedule):
    kind: ClassVar[str] = "cosine"
    needs_total: ClassVar[bool] = True

    final: float = Field(0.0, ge=0, le=1, description="factor at the end of the run")

    def shape(self, step: int, total: int | None) -> float:
        assert total is not None
        progress = min(step / total, 1.0)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))
