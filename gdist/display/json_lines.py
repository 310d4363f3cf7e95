"""``--json``: events as JSON lines on standard output, each step as one of them, and nothing else there."""

from __future__ import annotations

import sys
from typing import Any

from gdist.display.standing import Standing
from gdist.display.stdout import JsonOutput
from gdist.records import Update, event


class JsonDisplay:
    """Holds standard output from now until ``close``."""

    def __init__(self) -> None:
        self.standing = Standing()
        self._output = JsonOutput()

    def __call__(self, update: Update) -> None:
        self.standing.take(update)
        said = [event("output", worker=update.worker, text=text) for text in update.output]
        steps = [_as_event(line) for line in update.lines if line.get("kind") != "evaluation"]  # which is an event already
        self._output.write(sorted([*said, *steps, *update.events], key=lambda each: float(each["time"])))

    def say(self, text: str) -> None:
        """Words are no data."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        self._output.close()


def _as_event(line: dict[str, Any]) -> dict[str, Any]:
    return {"event": line["kind"], **{key: value for key, value in line.items() if key != "kind"}}
