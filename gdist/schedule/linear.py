"""A straight line from 1 down to ``final``."""

from __future__ import annotations

from pydantic import Field

from gdist.schedule.schedule import Schedule


class Linear(Schedule):
    kind = "linear"
    has_end = True

    final: float = Field(default=0.0, ge=0, le=1, description="factor at the end, as a share of lr")

    def shape(self, step: int, rest: int) -> float:
        return 1.0 + (self.final - 1.0) * min(step, rest) / rest
