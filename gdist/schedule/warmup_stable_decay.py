"""Warm-up, stable, decay (Hu et al. 2024, "MiniCPM"): the full rate for most of the run, then a line down to ``final``.
The stable part is the same for every length of run, so that one run can be cooled down at several places."""

from __future__ import annotations

from pydantic import Field

from gdist.schedule.schedule import Schedule


class WarmupStableDecay(Schedule):
    kind = "warmup_stable_decay"
    has_end = True

    decay: float = Field(default=0.2, gt=0, le=1, description="share of the steps after the warm-up over which the rate falls")
    final: float = Field(default=0.0, ge=0, le=1, description="factor at the end, as a share of lr")

    def shape(self, step: int, rest: int) -> float:
        falling = max(1, round(self.decay * rest))
        fallen = min(max(0, step - (rest - falling)), falling)
        return 1.0 + (self.final - 1.0) * fallen / falling
