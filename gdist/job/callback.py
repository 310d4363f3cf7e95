"""What a user's code may watch: four places, plain results in, wishes out.

A callback runs once a run, on the worker that leads, after a step boundary, and never changes what is trained: to stop or
to save it raises a wish (``wishes.add("stop", reason="good enough")``), which all workers follow at the same later boundary.
"""

from __future__ import annotations

from typing import Any

from gdist.records import Wishes

PLACES = ("on_step_end", "on_evaluation", "on_checkpoint", "on_end")


class Callback:
    """Subclass it and override what you need. Lines and results are those of metrics.jsonl and result.json."""

    def on_step_end(self, line: dict[str, Any], wishes: Wishes) -> None:
        """After each step, applied or skipped: step, epoch, loss, lr, grad_norm, samples, workers, seconds {phase: s}, log."""

    def on_evaluation(self, line: dict[str, Any], wishes: Wishes) -> None:
        """After each evaluation: step, epoch, train {loss}, validation {loss, metric ...}."""

    def on_checkpoint(self, event: dict[str, Any], wishes: Wishes) -> None:
        """When a checkpoint is durable (``event["path"]``), or has failed (``event["error"]``)."""

    def on_end(self, result: dict[str, Any], wishes: Wishes) -> None:
        """Once, when the run has ended as it should. A wish has no effect here."""
