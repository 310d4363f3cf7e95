"""The live display of a terminal: a block that is drawn in place, with everything that stays printed above it.

Painted at most twice a second (a faster one cannot be read, and makes a slow ssh line useless) on a thread of rich's, so that
the clock goes on while the main thread is inside torch.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gdist.display.block import draw, evaluation_row
from gdist.display.changes import QUOTED
from gdist.display.sentences import told
from gdist.display.standing import Standing
from gdist.records import Update

PER_S = 2  # repaints
WIDTH = 80  # at most: longer lines are no easier to read
EVALUATION_EVERY_S = 1.0  # rows that stay; the block shows each


class LiveDisplay:
    """Draws on ``stream``, a terminal (None: standard output), from now until ``close``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.standing = Standing()
        no_color = bool(os.environ.get("NO_COLOR")) or None
        self._console = Console(file=stream or sys.stdout, highlight=False, markup=False, emoji=False, no_color=no_color)
        self._unicode = self._console.encoding.lower().startswith("utf")
        self._begun = time.time()
        self._note: str | None = None
        self._row_at = 0.0
        self._live: Live | None = Live(
            console=self._console, get_renderable=self._block, refresh_per_second=PER_S, transient=True,
            vertical_overflow="crop",
        )  # fmt: skip
        self._live.start()

    def __call__(self, update: Update) -> None:
        for text in update.output:
            self._above(text)
        happened = list(told(update, self.standing))
        if any(line.get("kind") == "evaluation" for line in update.lines):
            self._evaluation()
        for event, text in happened:
            self._sentence(text, style=_style(event, text))

    def say(self, text: str) -> None:
        """A line of the command itself, shown in the block until the end."""
        self._note = text
        if self._live is not None:
            self._live.refresh()

    def close(self) -> None:
        """Takes the block away; what was printed above it stays. Idempotent."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    @property
    def _width(self) -> int:
        return min(self._console.width, WIDTH)

    def _block(self) -> Any:
        lines = draw(
            self.standing, width=self._width, now=time.time(), begun=self._begun, note=self._note, unicode=self._unicode
        )
        return Text("\n").join(lines)

    def _evaluation(self) -> None:
        if self.standing.evaluated is not None and time.monotonic() - self._row_at >= EVALUATION_EVERY_S:
            self._row_at = time.monotonic()
            self._above(evaluation_row(self.standing.evaluated, self.standing, width=self._width))

    def _above(self, text: str, *, style: str = "") -> None:
        """Lines that stay; the terminal may cut them anywhere."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def _sentence(self, text: str, *, style: str) -> None:
        """A line that stays: broken between words, and set in where it goes on; what is quoted is cut."""
        width = self._console.width
        quoted = text.startswith(QUOTED)
        lines = [text[:width]] if quoted else textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)
        self._above("\n".join(lines), style=style)


def _style(event: dict[str, Any], text: str) -> str:
    """Dim what is good to know, yellow what went wrong."""
    good = ("started", "explained", "scale", "worker_hired", "generation")
    return "dim" if event["event"] in good or text.startswith(QUOTED) else "yellow"
