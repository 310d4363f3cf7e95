"""Where a run stands at a step boundary: what is equal on all workers beside the replica, and what is left to do there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

_ONE_WORKERS = ("seconds", "first_step_seconds", "result")  # measured by each for itself, or made of what is


@dataclass
class Progress:
    """What a checkpoint, and whoever joins, must hold beside the replica for the rest to be as if never interrupted.

    ``duties``: what is left to do at this boundary before the next step (boundary.py), in order; ``done`` of them are done. So
    of two workers the one with the higher ``place`` is further, and a duty that a lost peer broke off is begun again.
    """

    step: int = 0  # steps taken
    skipped_in_a_row: int = 0
    train_sum: float = 0.0  # of losses times weights since the last evaluation
    train_weight: float = 0.0
    train: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] | None = None
    bad_rows: int = 0  # left out so far, each in every epoch
    bad_in_epoch: int = 0
    evaluated_at: int = -1  # steps taken at the last evaluation
    duties: list[str] = field(default_factory=list)
    done: int = 0
    ending: str | None = None  # why the run ends, once that is decided
    begun: bool = False  # what the run is has been said and written
    stopped_by: str = "job"  # "job": by a rule of its own; "wish": somebody asked
    members: list[list[int]] = field(default_factory=list)  # (slot, incarnation) by rank, of the last generation
    seconds: float = 0.0  # of training, over all sessions of the run
    first_step_seconds: float | None = None  # from the user's command to the first step of this session
    result: dict[str, Any] | None = None  # of the run, once all is done

    @property
    def place(self) -> tuple[int, int]:
        """Grows with all that is done."""
        return self.step, self.done

    @property
    def kept(self) -> bool:
        """Whether the run's last checkpoint is durable."""
        return self.result is not None or self.duties[:1] in (["restore"], ["conclude"])

    def finish(self, duty: str, *then: str) -> None:
        """``duty``, which was the next one, is done; ``then`` comes next."""
        assert self.duties[0] == duty, f"{duty} is done, but {self.duties} are left"
        self.duties[:1] = then
        self.done += 1

    def common(self) -> dict[str, Any]:
        """What is equal on all workers, as JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in _ONE_WORKERS}

    def load(self, saved: dict[str, Any]) -> None:
        """Takes over what ``common`` or a checkpoint holds."""
        for name, value in saved.items():
            setattr(self, name, value)

    def begin_session(self) -> None:
        """A run is resumed: if it had ended it goes on, whatever that was for; else it does what it had left to do."""
        if self.ending is not None:
            self.evaluated_at = self.step if self.train else -1
            self.duties, self.done, self.ending, self.stopped_by = [], 0, None, "job"
        self.first_step_seconds = self.result = None
        self.begun = False
