"""What a command shows while it waits for something to happen to a run: what is said of it, and a line that says for what."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from gdist.display.choose import can_draw

EVERY_S = 10.0  # between lines where nothing can be drawn in place
_ERASE = "\r\x1b[2K"


class Waiting:
    """Lines go to ``stream`` (None: standard error), as does the one that is drawn in place, where that can be."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._in_place = can_draw(self._stream)
        self._drawn = ""
        self._said_at = time.monotonic()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._write((_ERASE if self._drawn else "") + text + "\n")
        self._drawn = ""

    def show(self, text: str) -> None:
        """What is waited for now; "" takes it away."""
        if self._in_place:
            text = text[: os.get_terminal_size(self._stream.fileno()).columns - 1]  # a line that is wrapped cannot be erased
            if text != self._drawn:
                self._write(_ERASE + text)
                self._drawn = text
        elif text and time.monotonic() - self._said_at >= EVERY_S:
            self._said_at = time.monotonic()
            self._write(text + "\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the reader went away
