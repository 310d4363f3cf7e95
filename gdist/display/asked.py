"""What has become of a change of workers that somebody asked for: who joined and left, at which step, at what cost (pure).

2 -> 4 workers: workers 2 and 3 took their first step at step 812; training paused 0.08 s
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gdist.display import words
from gdist.display.changes import paused, slots
from gdist.records import Update


@dataclass
class Asked:
    """``settled``: whether what was asked for is there, once training has gone on with it. Takes updates from the wish on."""

    before: tuple[int, ...]  # slots of those who trained then
    wanted: Callable[[Asked], bool]
    now: tuple[int, ...] = ()
    joined: dict[int, int] = field(default_factory=dict)  # slot -> its first step
    left: dict[int, int] = field(default_factory=dict)  # slot -> its last step
    generation: int | None = None
    pauses: list[float] = field(default_factory=list)  # s
    waiting: str | None = None  # for what, with nobody left
    ended: str | None = None  # how the run did
    _stepped: int = 0  # the highest generation of which a step is known

    def __post_init__(self) -> None:
        self.now = self.before

    def take(self, update: Update) -> None:
        for line in update.lines:
            if line.get("kind") == "step":
                self._stepped = max(self._stepped, int(line.get("generation") or 0))
        for event in update.events:
            if event.get("event") == "generation":
                self._take_generation(event)
            elif event.get("event") == "waiting":
                self.waiting = event.get("what")
            elif event.get("event") in ("finished", "failed"):
                self.ended = str(event.get("reason") or (event.get("error") or {}).get("what") or "it failed")

    def _take_generation(self, event: dict[str, Any]) -> None:
        step = int(event.get("step") or 0)
        self.waiting = None
        self.generation, self.now = event.get("generation"), tuple(event.get("members") or ())
        self.left |= dict.fromkeys(event.get("left") or (), step)
        self.joined |= dict.fromkeys(event.get("joined") or (), step + 1)
        if event.get("pause_seconds") is not None:
            self.pauses.append(float(event["pause_seconds"]))

    @property
    def settled(self) -> bool:
        return self.wanted(self) and (self.generation is None or self._stepped >= self.generation)

    def words(self) -> str:
        """One line: how many there are, who came and went, and the pause."""
        if self.waiting is not None:
            return f"{slots(self.now)} left, with a checkpoint; the run waits for {self.waiting}"
        if self.generation is None:
            return f"{words.plural(len(self.now), 'worker')} already, nothing changes"
        first = _steps(((slot, at) for slot, at in self.joined.items() if slot in self.now), "first")
        last = _steps(self.left.items(), "last")
        pause = f"; training {paused(sum(self.pauses))}" if self.pauses else ""
        in_all = " in all" if len(self.pauses) > 1 else ""
        count = words.plural(len(self.now), "worker")
        change = count if len(self.before) == len(self.now) else f"{len(self.before)} -> {count}"
        return f"{change}: {', '.join([*last, *first]) or 'nobody new'}{pause}{in_all}"

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "settled": self.settled, "before": list(self.before), "members": list(self.now), "workers": len(self.now),
            "generation": self.generation, "first_steps": self.joined, "last_steps": self.left,
            "changes": len(self.pauses), "pause_seconds": sum(self.pauses),
        }  # fmt: skip


def _steps(of: Iterable[tuple[int, int]], which: str) -> list[str]:
    """``workers 2 and 3 took their first step at step 812``, one for each step."""
    by_step = itertools.groupby(sorted(of, key=lambda each: each[1]), lambda each: each[1])
    groups = [(step, [slot for slot, _ in group]) for step, group in by_step]
    return [f"{slots(who)} took {'its' if len(who) == 1 else 'their'} {which} step at step {step}" for step, who in groups]
