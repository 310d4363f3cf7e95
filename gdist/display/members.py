"""Who trains, as far as a run's events have told: the part of a run's standing that live changes move.

Takes what ``gdist/records.py`` lists, in the order it comes; holds no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Members:
    """Workers by their slots. What is not known is None."""

    generation: int | None = None
    slots: tuple[int, ...] = ()
    changes: int = 0  # of generation, since this display began
    paused_s: float = 0.0  # by all of them together
    pause_s: float | None = None  # by the last of them
    wanted: tuple[int, int] | None = None  # at least and at most, once somebody has asked
    preparing: dict[int, float] = field(default_factory=dict)  # slot -> since when, wall clock, s
    lost: set[int] = field(default_factory=set)  # and not yet back
    lost_at: int = 0  # the step that was under way when the last of them was lost
    leaving: set[int] = field(default_factory=set)  # and still in the generation
    waiting: str | None = None  # for what, while nothing goes on
    unsaved: str | None = None  # why the last checkpoint failed
    safe_step: int | None = None  # of the newest checkpoint

    def take(self, event: dict[str, Any]) -> None:
        name, slot = event.get("event"), event.get("worker")
        if name == "generation":
            self._take_generation(event)
        elif name == "scale":
            self.wanted = (int(event["least"]), int(event["most"]))
            self.preparing = {
                slot: since for slot, since in self.preparing.items() if slot < self.wanted[1]
            }  # others are sent away
        elif name == "worker_hired" and slot is not None:
            self.preparing[slot] = float(event["time"])
        elif name in ("worker_lost", "worker_refused") and slot is not None:
            self.lost.add(slot)
            self.lost_at = max(self.lost_at, event.get("step") or 0)
            self.preparing.pop(slot, None)
        elif name == "leaving" and slot in self.slots:
            self.leaving.add(slot)
        elif name == "waiting":
            self.waiting = event.get("what")
        elif name == "checkpoint":
            self._take_checkpoint(event)
        elif name in ("finished", "failed"):
            self.waiting, self.preparing = None, {}

    @property
    def staying(self) -> set[int]:
        """Those of the generation who go on with it."""
        return set(self.slots) - self.lost - self.leaving

    def _take_checkpoint(self, event: dict[str, Any]) -> None:
        if event.get("error"):
            self.unsaved, self.safe_step = str(event["error"]).partition("\n")[0], event.get("safe_step")
        elif event.get("name") is None:
            self.unsaved, self.safe_step = None, event.get("step")

    def _take_generation(self, event: dict[str, Any]) -> None:
        self.changes += self.generation is not None and event.get("generation") != self.generation
        self.generation = event.get("generation")
        self.slots = tuple(event.get("members") or range(event.get("workers") or 0))
        self.pause_s = event.get("pause_seconds")
        self.paused_s += self.pause_s or 0.0
        self.waiting = None
        self.lost.difference_update(self.slots)
        self.leaving.intersection_update(self.slots)
        self.lost_at = 0
        for slot in self.slots:
            self.preparing.pop(slot, None)
