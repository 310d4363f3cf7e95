"""The places where users watch a run. Callbacks see results, which are the same on all workers, and raise wishes; they run
once a run, on the worker that leads, and change nothing themselves."""

from __future__ import annotations

from typing import Any

from gdist.records import Wishes


class Callback:
    """Override what you need. ``wishes.add("stop", reason=...)`` ends the run at the next step boundary on all workers;
    "checkpoint" and "evaluate" are the other wishes. Lines and results are those of metrics.jsonl and result.json."""

    def on_step_end(self, line: dict[str, Any], wishes: Wishes) -> None:
        """After each step."""

    def on_evaluation(self, line: dict[str, Any], wishes: Wishes) -> None:
        """After each evaluation."""

    def on_checkpoint(self, event: dict[str, Any], wishes: Wishes) -> None:
        """When a checkpoint is durable, or has failed (``event["error"]``)."""

    def on_end(self, result: dict[str, Any], wishes: Wishes) -> None:
        """Once, when the run has ended as it should."""
