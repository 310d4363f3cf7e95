"""Which display fits: what was asked for, then what the stream can do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from gdist.records import Update

if TYPE_CHECKING:
    from gdist.display.standing import Standing


class Display(Protocol):
    """What every display is: a Watch that can also be told a line, and must be closed."""

    @property
    def standing(self) -> Standing: ...
    def __call__(self, update: Update) -> None: ...
    def say(self, text: str) -> None: ...
    def close(self) -> None: ...


def choose_display(*, json: bool = False, plain: bool = False) -> Display:
    """JSON lines, lines of text, or the live block where standard output is a terminal that can draw it."""
    if json:
        from gdist.display.json_lines import JsonDisplay

        return JsonDisplay()
    if plain or not can_draw(sys.stdout):
        from gdist.display.plain import PlainDisplay

        return PlainDisplay()
    from gdist.display.live import LiveDisplay

    return LiveDisplay()


def can_draw(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal with a cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")
