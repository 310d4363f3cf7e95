"""When a run ends before its last step. Every rule is decided at a step boundary, from numbers that all workers share."""

from __future__ import annotations

from pydantic import Field, model_validator

from gdist.description import Description, refuse
from gdist.job.measures import better


class Stop(Description):
    """Rules may be combined; the first that holds ends the run. ``Stop()`` has none."""

    wall_seconds: float | None = Field(default=None, gt=0, description="seconds of training, resumed sessions included")
    loss_below: float | None = Field(default=None, description="ends at an evaluation whose training loss is below this")
    tolerance: float | None = Field(
        default=None, gt=0, description="ends when the training loss changes by less than this from one evaluation to the next"
    )
    tolerance_evaluations: int = Field(default=1, ge=1, description="evaluations in a row for which `tolerance` must hold")
    patience: int | None = Field(default=None, ge=1, description="evaluations without a better `metric` before the run ends")
    metric: str = Field(
        default="validation.loss",
        description="what `patience`, `restore_best`, `keep_best` watch: 'validation.loss', 'validation.accuracy', "
        "'train.loss' ...",
    )
    restore_best: bool = Field(
        default=False, description="end with the weights of the best evaluation (a checkpoint named `best`)"
    )
    keep_best: bool = Field(default=False, description="keep the checkpoint of the best evaluation by `metric`, named `best`")

    @model_validator(mode="after")
    def _acts(self) -> Stop:
        split, _, name = self.metric.partition(".")
        if split not in ("train", "validation") or not name or (split == "train" and name != "loss"):
            refuse(
                f"`stop.metric` cannot be {self.metric!r}",
                help="'train.loss', 'validation.loss', or 'validation.' and one of the job's metrics",
            )
        if "tolerance_evaluations" in self.model_fields_set and self.tolerance is None:
            refuse("`stop.tolerance_evaluations` cannot act without `stop.tolerance`", help="set stop.tolerance as well")
        if "metric" in self.model_fields_set and not self.watches:
            refuse("`stop.metric` cannot act alone", help="set stop.patience, stop.restore_best or stop.keep_best as well")
        return self

    @property
    def watches(self) -> bool:
        """Whether `metric` is watched at all."""
        return self.patience is not None or self.keeps_best

    @property
    def keeps_best(self) -> bool:
        """Whether there is a checkpoint named `best`."""
        return self.restore_best or self.keep_best

    @property
    def rules(self) -> list[str]:
        """Names of the rules that are set."""
        return [name for name in ("wall_seconds", "loss_below", "tolerance", "patience") if getattr(self, name) is not None]

    @property
    def lower_is_better(self) -> bool:
        """Which values of ``metric`` are better, from its name."""
        return better(self.metric.partition(".")[2]) == "lower"
