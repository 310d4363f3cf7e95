"""What a schedule is: a pure function of the step that gives the factor on every learning rate.

    factor(step) = (step + 1) / warmup               while step < warmup
                   shape(step - warmup, rest)        after it, with rest = total - warmup

Steps count attempts from 0, skipped ones too. Nothing is remembered between steps, so that a resumed run, or a worker that
joins, knows the rate at once. To add one: a file beside ``cosine.py`` with ``kind``, its fields and ``shape``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from gdist.description import Description, Wrong, kind_called, named_kinds, refuse, shown
from gdist.errors import JobError


class Schedule(Description):
    kind: ClassVar[str] = ""  # what a command line calls it
    has_end: ClassVar[bool] = False  # whether its shape depends on the length of the run

    warmup: int = Field(default=0, ge=0, description="steps over which the rate grows linearly from lr / warmup, 0 for none")
    steps: int | None = Field(default=None, gt=0, description="steps from start to end, warm-up included; None: the run's own")

    @model_validator(mode="after")
    def _fits(self) -> Schedule:
        if self.steps is not None and not self.has_end:
            refuse(f"`steps` cannot act: a {self.kind or 'schedule'} schedule has no end", help="leave `steps` out")
        if self.steps is not None and self.warmup >= self.steps:
            refuse(
                f"`warmup` {self.warmup} leaves nothing of the schedule's {self.steps} steps",
                help=f"warmup must be below {self.steps}",
            )
        return self

    @property
    def needs_total(self) -> bool:
        """Whether ``factor`` must be told the length of the run."""
        return self.has_end and self.steps is None

    def factor(self, step: int, *, total: int | None) -> float:
        """The factor at ``step`` (from 0) of a run of ``total`` steps; None where the length of the run is not known.
        After the end it stays at its last value."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        length = self.steps if self.steps is not None else total
        if length is None and self.has_end:
            raise JobError(
                f"a {self.kind} schedule must know where the run ends", help="give the job epochs or steps, or schedule.steps"
            )
        # Where nothing is known of an end the shape does not look at it.
        return self.shape(step - self.warmup, max(1, (length or 0) - self.warmup))

    def shape(self, step: int, rest: int) -> float:
        """The factor ``step`` steps after the warm-up, of ``rest``; 1.0 at 0."""
        raise NotImplementedError


def named_schedules() -> dict[str, type[Schedule]]:
    """Every schedule by name."""
    return named_kinds(Schedule)


def as_schedule(value: Any) -> Schedule:
    """What a job takes: a description, its class, a name, or a dict with ``kind``. Raises Wrong or JobError."""
    context = {"prefix": "schedule."}
    if isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return schedule_class(value)()
    if isinstance(value, dict) and isinstance(value.get("kind"), str):
        fields = dict(value)
        return schedule_class(fields.pop("kind")).model_validate(fields, context=context)
    if isinstance(value, type) and issubclass(value, Schedule):
        return value.model_validate({}, context=context)
    hint = "gdist's schedules are pure functions of the step: subclass Schedule for one of your own; "
    raise Wrong(f"must be a schedule, not {shown(value)}", help=f"{hint}names: {', '.join(named_schedules())}")


def schedule_class(name: str) -> type[Schedule]:
    return kind_called(name, Schedule, what="schedule")
