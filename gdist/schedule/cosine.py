"""Cosine annealing (Loshchilov & Hutter 2017, without restarts): half a cosine from 1 down to ``final``."""

from __future__ import annotations

import math

from pydantic import Field

from gdist.schedule.schedule import Schedule


class Cosine(Schedule):
    kind = "cosine"
    has_end = True

    final: float = Field(default=0.0, ge=0, le=1, description="factor at the end, as a share of lr")

    def shape(self, step: int, rest: int) -> float:
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * min(step, rest) / rest))
