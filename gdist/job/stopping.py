"""When a run ends before its last epoch or step."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gdist.description import Description
from gdist.errors import JobError


class Stop(Description):
    """Each rule is off unless set; the first that holds ends the run, which is then ``done``."""

    wall_seconds: PositiveFloat | None = Field(None, description="seconds of training, resumed sessions included")
    loss_below: float | None = Field(None, description="ends when the training loss of an evaluation is below this")
    tolerance: PositiveFloat | None = Field(
        None, description="ends when the training loss changes by less than this from one evaluation to the next"
    )
    tolerance_evaluations: PositiveInt = Field(1, description="for how many evaluations in a row")
    patience: PositiveInt | None = Field(None, description="evaluations without a better `metric` before the run ends")
    metric: str = Field("validation.loss", description="what is watched: validation.loss, validation.accuracy, train.loss ...")
    restore_best: bool = Field(False, description="end with the weights of the best evaluation (a checkpoint named `best`)")

    @model_validator(mode="after")
    def _known_split(self) -> Stop:
        split, _, name = self.metric.partition(".")
        if split not in ("train", "validation") or not name:
            raise JobError(
                f"stop.metric cannot be {self.metric!r}", help="write validation.loss, validation.accuracy or train.loss"
            )
        return self

    @property
    def lower_is_better(self) -> bool:
        return self.metric.rpartition(".")[2] in ("loss", "mse", "mae")
