"""Step decay: the rate is multiplied by ``gamma`` every so many steps, ``gamma ** (step // every)``."""

from __future__ import annotations

from pydantic import Field

from gdist.schedule.schedule import Schedule


class StepDecay(Schedule):
    kind = "step_decay"

    every: int = Field(default=1000, ge=1, description="steps between two drops, counted from the end of the warm-up")
    gamma: float = Field(default=0.1, gt=0, le=1, description="factor of each drop")

    def shape(self, step: int, rest: int) -> float:
        return self.gamma ** (step // self.every)
