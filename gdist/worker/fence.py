"""What a worker may still write: nothing once the run goes on without it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_JOINING_S = 5.0  # for a worker that is told of a newer generation to enter it, before it is taken for one that was given up
_PART_OF_THE_GONE_S = 3.0  # without a byte of the part of a worker that is no member any more: it may have left in peace
_LOOK_S = 0.05


class Fence:
    """``control``: the run's control.json, which says what generation there is. ``begin`` is called by the training thread,
    ``given_up`` by the one that writes."""

    def __init__(self, control: Path | None) -> None:
        self.generation = 1
        self.alone = False  # the other workers are gone
        self._control = control
        self._members: dict[int, set[tuple[int, ...]]] = {}  # by generation
        self._joined_at = time.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether this worker is in its first generation."""
        return len(self._members) <= 1

    def begin(self, generation: int, members: Sequence[tuple[int, ...]]) -> None:
        self.generation, self.alone, self._joined_at = generation, False, time.monotonic()
        self._members[generation] = set(members)
        for old in [each for each in self._members if each < generation - 8]:
            del self._members[old]

    def given_up(self, generation: int, idle_s: float | None) -> str | None:
        """Why a checkpoint of ``generation`` counts no more: this worker was given up, or parts are missing, of which nothing
        has come for ``idle_s`` (None: none is missing), and whose worker is gone."""
        deadline = time.monotonic() + _JOINING_S
        while (told := self._told()) > self.generation:
            if time.monotonic() > deadline:
                return f"generation {told} goes on without this worker, whose last one was {self.generation}"
            time.sleep(_LOOK_S)
        if idle_s is None:
            return None
        if self.alone:
            return "the other workers are gone"
        then, now = self._members.get(generation, set()), self._members.get(self.generation, set())
        if then - now and min(idle_s, time.monotonic() - self._joined_at) > _PART_OF_THE_GONE_S:
            return "a worker that had a part in it is gone"
        return None

    def _told(self) -> int:
        with suppress(OSError, ValueError, AttributeError, TypeError):
            if self._control is not None:
                return int(json.loads(self._control.read_bytes()).get("generation") or 0)
        return 0
