"""Learning-rate schedules, one a file."""

from __future__ import annotations

from typing import Any

from gdist.description import nearest
from gdist.errors import JobError
from gdist.schedule.constant import Constant
from gdist.schedule.cosine import Cosine
from gdist.schedule.linear import Linear
from gdist.schedule.schedule import Schedule
from gdist.schedule.step_decay import StepDecay
from gdist.schedule.warmup_stable_decay import WarmupStableDecay

SCHEDULES: dict[str, type[Schedule]] = {s.kind: s for s in (Constant, StepDecay, Cosine, Linear, WarmupStableDecay)}


def as_schedule(value: Any) -> Schedule:
    """A schedule, its name, or {"kind": name, field: value}."""
    if isinstance(value, Schedule):
        return value
    fields = dict(value) if isinstance(value, dict) else {"kind": value}
    kind = fields.pop("kind", None)
    if kind not in SCHEDULES:
        near = nearest(str(kind), SCHEDULES)
        raise JobError(
            f"unknown schedule {kind!r}",
            help=f"{f'did you mean {near!r}? ' if near else ''}schedules: {', '.join(SCHEDULES)}",
        )
    return SCHEDULES[kind](**fields)


__all__ = ["SCHEDULES", "Constant", "Cosine", "Linear", "Schedule", "StepDecay", "WarmupStableDecay", "as_schedule"]
