"""The same rate all the time."""

from typing import ClassVar

from gdist.schedule.schedule import Schedule


class Constant(Schedule):
    kind: ClassVar[str] = "constant"

    def shape(self, step: int, total: int | None) -> float:
        return 1.0
