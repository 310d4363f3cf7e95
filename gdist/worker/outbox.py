"""What a worker has to say, gathered and sent about once a second, never a message a step."""

from __future__ import annotations

import time
from typing import Any

from gdist.records import Update, Watch, event
from gdist.run.ledger import Entry, head, to_lines

EVERY_S = 1.0
KEPT_S = 5.0  # at least as long a worker that does not lead keeps what the one that leads may be about to say


class Outbox:
    """``send`` receives Updates from the training thread. ``leads``: this worker speaks for the run (rank 0)."""

    def __init__(self, send: Watch, *, slot: int) -> None:
        self._send = send
        self._slot = slot
        self._events: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []
        self._ledger: list[dict[str, Any]] = []
        self._entries: list[Entry] = []
        self._older: list[Entry] = []  # of a worker that does not lead
        self._generation = 1
        self._sent = time.monotonic()
        self.leads = slot == 0

    def begin(self, *, generation: int, **facts: Any) -> None:
        """A generation begins; ``facts``: what its first line in the ledger says."""
        self.flush()  # what is left of the one before
        self._generation, self._older, self._entries = generation, [], []
        if self.leads:
            self._ledger.append(head(generation=generation, **facts))

    def lead(self) -> None:
        """From now on this worker speaks for the run, first of the last steps, which its predecessor may have kept silent."""
        if not self.leads:
            self.leads = True
            self._ledger += to_lines([*self._older, *self._entries], generation=self._generation, repeated=True)
            self._older, self._entries = [], []

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

    def entry(self, entry: Entry) -> None:
        """A step for the ledger, said by the worker that leads and kept for a while by the others. Before the step's line."""
        self._entries.append(entry)
        if not self.leads and time.monotonic() - self._sent >= KEPT_S:
            self._sent = time.monotonic()
            self._older, self._entries = self._entries, []

    def flush(self) -> None:
        if not self.leads:
            return
        self._sent = time.monotonic()
        self._ledger += to_lines(self._entries, generation=self._generation)
        self._entries = []
        if not self._events and not self._lines and not self._ledger:
            return
        update = Update(events=self._events, lines=self._lines, ledger=self._ledger, worker=self._slot)
        self._events, self._lines, self._ledger = [], [], []
        self._send(update)
