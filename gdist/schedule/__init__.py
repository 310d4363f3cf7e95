"""Schedules of the learning rate: pure functions of the step."""

from gdist.schedule.constant import Constant
from gdist.schedule.cosine import Cosine
from gdist.schedule.linear import Linear
from gdist.schedule.schedule import Schedule, as_schedule, named_schedules
from gdist.schedule.step_decay import StepDecay
from gdist.schedule.warmup_stable_decay import WarmupStableDecay

__all__ = ["Constant", "Cosine", "Linear", "Schedule", "StepDecay", "WarmupStableDecay", "as_schedule", "named_schedules"]
