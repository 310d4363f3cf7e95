"""When a run ends before its last step, decided from what all workers know alike: losses, metrics, counts. Never from a clock
(the wall-time rule is raised as a wish by one worker and granted to all at the same step)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gdist.errors import JobError

if TYPE_CHECKING:
    from gdist.job.stopping import Stop


class StopRules:
    """The job's rules and their memory; ``state`` makes a resumed run decide as the uninterrupted one would."""

    def __init__(self, rules: Stop) -> None:
        self._rules = rules
        self._best: float | None = None
        self._without_improvement = 0
        self._last_train: float | None = None
        self._without_change = 0

    def after_evaluation(self, train: dict[str, float], validation: dict[str, float] | None) -> tuple[bool, str | None]:
        """(whether this evaluation is the best so far, why the run ends or None)."""
        rules = self._rules
        best, reason = False, None
        measured = _metric(rules.metric, train, validation)
        if measured is None and rules.watches:
            raise JobError(
                f"stop.metric watches {rules.metric}, which no evaluation measures",
                help=f"measured: {', '.join(['train.loss', *(f'validation.{name}' for name in validation or ())])}",
            )
        if measured is not None and not math.isnan(measured):
            best = self._best is None or (measured < self._best if rules.lower_is_better else measured > self._best)
            self._without_improvement = 0 if best else self._without_improvement + 1
            self._best = measured if best else self._best
            if rules.patience is not None and self._without_improvement >= rules.patience:
                reason = f"{rules.metric} has not improved for {rules.patience} evaluations (best {self._best:.6g})"
        loss = train["loss"]
        if rules.loss_below is not None and loss < rules.loss_below:
            reason = reason or f"the training loss {loss:.6g} is below {rules.loss_below:g}"
        if rules.tolerance is not None:
            still = self._last_train is not None and abs(loss - self._last_train) < rules.tolerance
            self._without_change = self._without_change + 1 if still else 0
            if self._without_change >= rules.tolerance_evaluations:
                reason = reason or (
                    f"the training loss changed by less than {rules.tolerance:g} for {rules.tolerance_evaluations} evaluations"
                )
        self._last_train = loss
        return best, reason

    def state(self) -> dict[str, Any]:
        return {
            "best": self._best,
            "without_improvement": self._without_improvement,
            "last_train": self._last_train,
            "without_change": self._without_change,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._best, self._without_improvement = state["best"], state["without_improvement"]
        self._last_train, self._without_change = state["last_train"], state["without_change"]


def _metric(name: str, train: dict[str, float], validation: dict[str, float] | None) -> float | None:
    split, _, key = name.partition(".")
    return (train if split == "train" else validation or {}).get(key)
