"""The rate falls by a factor every so many steps (torch.optim.lr_scheduler.StepLR)."""

from typing import ClassVar

from pydantic import Field, PositiveInt

from gdist.schedule.schedule import Schedule


class StepDecay(Schedule):
    kind: ClassVar[str] = "step_decay"

    every: PositiveInt = Field(description="steps between two falls")
    gamma: float = Field(0.1, gt=0, le=1, description="factor of each fall")

    def shape(self, step: int, total: int | None) -> float:
        return float(self.gamma ** (step // self.every))
