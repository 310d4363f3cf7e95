"""The rate falls along a straight line."""

from typing import ClassVar

from pydantic import Field

from gdist.schedule.schedule import Schedule


class Linear(Schedule):
    kind: ClassVar[str] = "linear"
    needs_total: ClassVar[bool] = True

    final: float = Field(0.0, ge=0, le=1, description="factor at the end of the run")

    def shape(self, step: int, total: int | None) -> float:
        assert total is not None
        return 1 - (1 - self.final) * min(step / total, 1.0)
