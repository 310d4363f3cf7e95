"""What of a run is in its folder already: workers say again what they do not know to be written, and nothing must stand
there twice.

A metric line is told from an earlier one by its kind and step; one of a higher generation counts anew (the run went back to a
checkpoint). Events of workers are told apart by their name and step, or whatever else tells two of that name apart.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from gdist.records import Update
from gdist.run.lines import parse_lines

TAIL_BYTES = 8 << 20  # of each file, looked at when a run is taken up: workers keep far less than that
_TELLING = ("step", "generation", "name", "text", "error", "reason")


class Written:
    """``step``: the last step of which the metric line is written. ``gaps``: how often something came before its time, and was
    turned away: what lies between was told to a controller that has died."""

    def __init__(self) -> None:
        self.step = 0
        self.gaps = 0
        self._turned_away: int | None = None  # the first step of what came too early last
        self._lines: dict[str, tuple[int, int]] = {}  # kind -> step and generation of the last
        self._events: set[tuple[Any, ...]] = set()

    def recall(self, folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Learns what is in the files of ``folder``; returns the last events and metric lines in them."""
        events, lines = _tail(folder / "events.jsonl"), _tail(folder / "metrics.jsonl")
        for line in lines:
            self._is_new_line(line)
        for event in events:
            self._is_new_event(event)
        return events, lines

    def new(self, update: Update) -> Update:
        """What of a worker's ``update`` is not written yet; from now on it counts as written. Ledger lines say themselves
        that they are repeated. Nothing of one that comes before its time."""
        if self._is_early(update):
            self.gaps += 1
            return Update(worker=update.worker)
        events = [event for event in update.events if self._is_new_event(event)]
        return replace(update, events=events, lines=[line for line in update.lines if self._is_new_line(line)])

    def _is_early(self, update: Update) -> bool:
        first = next((line["step"] for line in update.lines if line.get("kind") == "step"), None)
        if first is None or "step" not in self._lines or first <= self.step + 1:
            return False
        known, self._turned_away = self._turned_away == first, first
        return not known  # said again, and nothing before it: who knew of that is dead

    def _is_new_line(self, line: dict[str, Any]) -> bool:
        kind, step, generation = line.get("kind"), line.get("step"), int(line.get("generation") or 0)
        if not isinstance(kind, str) or not isinstance(step, int):
            return True
        last = self._lines.get(kind)
        if last is not None and step <= last[0] and generation <= last[1]:
            return False
        if last is not None and step <= last[0]:  # the run went back: what happens at those steps happens anew
            self._events = {key for key in self._events if not isinstance(key[1], int) or key[1] < step}
        self._lines[kind] = step, generation
        if kind == "step":
            self.step = step
        return True

    def _is_new_event(self, event: dict[str, Any]) -> bool:
        key = (event.get("event"), *(event.get(field) if _plain(event.get(field)) else None for field in _TELLING))
        if event.get("event") == "generation":
            key = ("generation", None, event.get("generation"))
        if key in self._events:
            return False
        self._events.add(key)
        return True


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, int | str | float)


def _tail(path: Path) -> list[dict[str, Any]]:
    try:
        with open(path, "rb") as file:
            begin = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
            file.seek(begin)
            content = file.read()
    except OSError:
        return []
    return list(parse_lines(content[content.find(b"\n") + 1 :] if begin else content))
