"""A run's whole state on one worker: what all members hold alike, and what the handover moves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gdist.worker.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from gdist.engine.replica import Replica
    from gdist.worker.messages import Files
    from gdist.worker.outbox import Outbox
    from gdist.worker.stopping import StopRules


class RunState:
    """Replica, progress, stop rules, and what is said but not yet known to be written. ``whole``: there is something to go on
    from; False for a worker that has received nothing yet."""

    def __init__(self, replica: Replica, rules: StopRules, outbox: Outbox, *, whole: bool) -> None:
        self.replica, self.rules, self.outbox = replica, rules, outbox
        self.progress = Progress()
        self.whole = whole
        self.agreed = False
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent in training so far, over all sessions."""
        return self.progress.seconds + time.monotonic() - self._begun

    @property
    def place(self) -> tuple[int, int] | None:
        return self.progress.place if self.whole else None

    def tensors(self) -> tuple[Files, dict[str, Any]]:
        return self.replica.save()

    def load_tensors(self, files: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        for optimizer in self.replica.optimizers.values():
            optimizer.state.clear()
        self.replica.load(files, state)

    def facts(self) -> dict[str, Any]:
        return {"progress": self.progress.common(), "rules": self.rules.state()}

    def aside(self) -> dict[str, Any]:
        progress = self.progress
        return {
            "seconds": self.seconds,
            "first_step_seconds": progress.first_step_seconds,
            "result": progress.result,
            "said": self.outbox.kept(),
        }

    def load_facts(self, facts: dict[str, Any], aside: dict[str, Any]) -> None:
        self.outbox.adopt(aside.pop("said"))
        self.progress.load(facts["progress"] | aside)
        self.rules.load_state(facts["rules"])
        self._begun = time.monotonic()
        self.whole = True
