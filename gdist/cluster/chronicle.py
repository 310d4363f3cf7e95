"""What a run says: written into its folder, and kept for the driver until it has read it.

Before the folder exists (the job's name is known only when a worker has loaded it) events wait; the driver gets them at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Any

from gdist.cluster.written import Written
from gdist.errors import GdistError, RunFailed
from gdist.records import Update, event
from gdist.run.checkpoint import list_checkpoints
from gdist.run.folder import RunFolder
from gdist.worker.local import failure

TOLD_AGAIN = 1000  # events and lines that the driver may not have heard from the controller before; it knows which it has


class Chronicle:
    """``trouble`` is set when the folder could not be written to; nothing is written any more then."""

    def __init__(self) -> None:
        self.folder: RunFolder | None = None
        self.trouble: GdistError | None = None
        self.written = Written()
        self.opened = False
        self.generation: dict[str, Any] | None = None  # the newest event of that name
        self.stepped_at: float | None = None  # wall clock of the first step in it
        self._unwritten: list[Update] = []
        self._news: list[Update] = []
        self._read = time.time_ns()  # number of the news that the driver has acknowledged; a later controller's are higher
        self._newsworthy = asyncio.Event()

    def open(self, folder: RunFolder | None) -> None:
        """From now on all is written to ``folder``, beginning with what has waited; None: nothing is."""
        self.folder, self.opened = folder, True
        for update in self._unwritten:
            self._write(update)
        self._unwritten = []

    def take_up(self, folder: RunFolder | None) -> None:
        """Goes on where another controller of the run has ended."""
        self.folder, self.opened = folder, True
        if folder is not None:
            events, lines = self.written.recall(folder.path)
            newest = [event for event in events if event.get("event") == "generation"]
            self.generation = newest[-1] if newest else None
            self._news.append(Update(events=events[-TOLD_AGAIN:], lines=lines[-TOLD_AGAIN:]))

    def heard(self, update: Update) -> None:
        """What a worker says, which it may have said before, or another in its place."""
        update = self.written.new(update)
        if update.events or update.lines or update.ledger:
            self.note(update)

    def note(self, update: Update) -> None:
        """Something happened: to be written and told."""
        self._write(update)
        self._tell(update)

    def printed(self, slot: int, lines: list[str]) -> None:
        """Worker ``slot`` printed ``lines``."""
        self._write(Update(events=[event("output", worker=slot, text="\n".join(lines))], worker=slot))
        self._tell(Update(output=lines, worker=slot))

    def saved_step(self) -> int:
        """Of the newest checkpoint in the run's folder; 0: there is none."""
        return max((place.step for place in list_checkpoints(self.folder.checkpoints)), default=0) if self.folder else 0

    def end(self, result: dict[str, Any] | None, error: GdistError | None, *, step: int, wall_seconds: float) -> None:
        """Writes ``result.json`` and the last event."""
        folder = self.folder
        if error is not None:
            said = event("failed", error=error.to_dict(), step=step)
            result = failure(error, step, folder) if folder is not None else {}
        else:
            assert result is not None
            said = event("finished", **result)
        try:
            if folder is not None:
                folder.write_result({**result, "wall_seconds": wall_seconds})
        except GdistError as trouble:
            self.trouble = trouble
        self.note(Update(events=[said]))
        self._newsworthy.set()

    async def news(self, after: int, *, wait_s: float) -> tuple[list[Update], int]:
        """What was told past number ``after``, and the number of the last; waits for it."""
        self._news, self._read = self._news[max(0, after - self._read) :], max(self._read, after)
        if not self._news and wait_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._newsworthy.wait(), wait_s)
        self._newsworthy.clear()
        return list(self._news), self._read + len(self._news)

    def _write(self, update: Update) -> None:
        if self.trouble is not None:
            return
        if self.folder is None:
            if not self.opened:
                self._unwritten.append(update)
            return
        try:
            self.folder.append_events(update.events)
            self.folder.append_ledger(update.ledger)
            self.folder.append_metrics(update.lines)
        except RunFailed as trouble:
            self.trouble = trouble

    def _tell(self, update: Update) -> None:
        for said in update.events:
            if said["event"] == "generation":
                self.generation, self.stepped_at = said, None
        for line in update.lines if self.stepped_at is None else ():
            if line.get("kind") == "step" and line.get("generation") == (self.generation or {}).get("generation"):
                self.stepped_at = line["time"]
                break
        self._news.append(replace(update, ledger=[]))  # the driver has no use for it
        self._newsworthy.set()
