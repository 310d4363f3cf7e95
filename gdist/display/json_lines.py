"""``--json``: events as JSON lines on standard output, each step as one of them, and nothing else there.

While it is open, whatever else writes to standard output (user code in this process, a C library) lands on standard error.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from gdist.display.standing import Standing
from gdist.records import Update, event
from gdist.run.lines import to_json


class JsonDisplay:
    """Takes standard output for itself, from now until ``close``."""

    def __init__(self) -> None:
        self.standing = Standing()
        sys.stdout.flush()
        self._out: int | None = os.dup(1)
        os.dup2(2, 1)
        self._gone = False

    def __call__(self, update: Update) -> None:
        self.standing.take(update)
        said = [event("output", worker=update.worker, text=text) for text in update.output]
        steps = [{"event": "step", **_without_kind(line)} for line in update.lines if line.get("kind") == "step"]
        self._write(sorted([*said, *steps, *update.events], key=lambda each: float(each["time"])))

    def say(self, text: str) -> None:
        """Words are no data."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Gives standard output back. Idempotent."""
        if self._out is not None:
            sys.stdout.flush()
            os.dup2(self._out, 1)
            os.close(self._out)
            self._out = None

    def _write(self, lines: list[dict[str, Any]]) -> None:
        content = memoryview("".join(to_json(line) + "\n" for line in lines).encode())
        while content and self._out is not None and not self._gone:
            try:
                content = content[os.write(self._out, content) :]
            except OSError:  # the reader went away: the run goes on
                self._gone = True


def _without_kind(line: dict[str, Any]) -> dict[str, Any]:
    """A metric line as an event; those of evaluations are left out, which are events already."""
    return {key: value for key, value in line.items() if key != "kind"}
