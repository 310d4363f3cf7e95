"""A run as another process sees it grow: what is new in its events and metric lines since the last look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gdist.records import Update
from gdist.run.folder import RunFolder
from gdist.run.lines import parse_lines


class Following:
    """``news`` gives each event and each metric line once; lines that were there at the beginning only if ``from_start``."""

    def __init__(self, folder: RunFolder, *, from_start: bool = False) -> None:
        self._events = _Tail(folder.path / "events.jsonl", at_end=False)
        self._lines = _Tail(folder.path / "metrics.jsonl", at_end=not from_start)

    def news(self) -> Update:
        lines = self._lines.read()  # first: the events that belong to them were written before
        return Update(events=self._events.read(), lines=lines)


class _Tail:
    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._path = path
        self._read = path.stat().st_size if at_end and path.exists() else 0

    def read(self) -> list[dict[str, Any]]:
        """The new whole lines. What comes after the last of them may be cut off again by the file's next writer."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return []
        self._read += content.rfind(b"\n") + 1
        return list(parse_lines(content))
