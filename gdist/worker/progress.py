"""Where a run stands at a step boundary: what a checkpoint holds beside the replica."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Progress:
    """Where a run stands: what a checkpoint must hold beside the replica for the rest to be as if never interrupted."""

    step: int = 0  # steps taken
    skipped_in_a_row: int = 0
    train_sum: float = 0.0  # of losses times weights since the last evaluation
    train_weight: float = 0.0
    train: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] | None = None
    bad_rows: int = 0  # left out so far, each in every epoch
    seconds: float = 0.0  # of training, over all sessions of the run
