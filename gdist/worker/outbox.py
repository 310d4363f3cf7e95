"""What a worker has to say, gathered and sent about once a second, never a message a step."""

from __future__ import annotations

import time
from typing import Any

from gdist.records import Update, Watch, event

EVERY_S = 1.0


class Outbox:
    """``send`` receives Updates from the training thread. ``leads``: this worker speaks for the run (rank 0)."""

    def __init__(self, send: Watch, *, slot: int) -> None:
        self._send = send
        self._slot = slot
        self._events: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []
        self._sent = time.monotonic()
        self.leads = slot == 0

    def event(self, name: str, /, **fields: Any) -> None:
        """An event of the run, said by the worker that leads; sent at once."""
        if self.leads:
            self._events.append(event(name, **{key: value for key, value in fields.items() if value is not None}))
            self.flush()

    def line(self, line: dict[str, Any]) -> None:
        """A metric line of the run, said by the worker that leads."""
        if self.leads:
            self._lines.append(line)
        if time.monotonic() - self._sent >= EVERY_S:
            self.flush()

    def flush(self) -> None:
        self._sent = time.monotonic()
        if not self._events and not self._lines:
            return
        update = Update(events=self._events, lines=self._lines, worker=self._slot)
        self._events, self._lines = [], []
        self._send(update)
