"""The rate stays as it is (after the warm-up, if any)."""

from __future__ import annotations

from gdist.schedule.schedule import Schedule


class Constant(Schedule):
    kind = "constant"

    def shape(self, step: int, rest: int) -> float:
        return 1.0
