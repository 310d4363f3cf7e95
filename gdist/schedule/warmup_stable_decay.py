"""Full rate for most of the run, then a straight fall (Hu et al. 2024, MiniCPM)."""

from typing import ClassVar

from pydantic import Field

from gdist.schedule.schedule import Schedule


class WarmupStableDecay(Schedule):
    kind: ClassVar[str] = "warmup_stable_decay"
    needs_total: ClassVar[bool] = True

    decay: float = Field(0.2, gt=0, le=1, description="share of the steps after warm-up over which the rate falls")
    final: float = Field(0.0, ge=0, le=1, description="factor at the end of the run")

    def shape(self, step: int, total: int | None) -> float:
        assert total is not None
        begins = total * (1 - self.decay)
        if step < begins:
            return 1.0
        return 1 - (1 - self.final) * min((step - begins) / (total - begins), 1.0)
