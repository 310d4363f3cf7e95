"""Text in pieces of a quarter of a megabyte: whole documents as many as fit, or a part of a longer one (pure).

A longer one is cut before a space that follows anything but a space. No pattern by which byte-level encodings cut text into
words joins the two or looks back, so that the tokens are those of the document as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PIECE_BYTES = 1 << 18
_SEARCHED_BYTES = 1 << 16  # before a piece's end, for a place to cut
_NO_SPACE = rb"[!-~]|[\xc3-\xdf][\x80-\xbf]|[\xe4-\xed][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"  # and no space of Unicode's
_WORD_S_END = re.compile(rb".*(?:%b)(?=[ \t])" % _NO_SPACE, re.S)  # the last one: .* takes all, then gives back


@dataclass(frozen=True, eq=False)
class Piece:
    """``content``: text as stored, uint8, not checked to be UTF-8 but never cut inside a character.
    ``ends``: int64, ascending, where in it documents end. ``place(offset)`` names a byte of it for an error."""

    content: np.ndarray
    ends: np.ndarray
    place: Callable[[int], str]


def parts(content: np.ndarray, ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, stop) of pieces: whole documents as many as fit, or a part of a longer one."""
    import numpy as np

    start = 0
    while start < len(content):
        stop = start + PIECE_BYTES
        if stop >= len(content):
            stop = len(content)
        else:
            fit = int(np.searchsorted(ends, stop, side="right"))
            whole = int(ends[fit - 1]) if fit else 0
            stop = whole if whole > start else start + _cut(content[start:stop].tobytes())
        yield start, stop
        start = stop


def piece_of(content: np.ndarray, ends: np.ndarray, start: int, stop: int, place: Callable[[int], str]) -> Piece:
    import numpy as np

    first, last = np.searchsorted(ends, [start, stop], side="right")
    return Piece(content[start:stop], ends[first:last] - start, place)


def _cut(text: bytes) -> int:
    """Where to cut a text that goes on: between a word and a space, else between two characters."""
    searched = max(len(text) - _SEARCHED_BYTES, 0)
    found = _WORD_S_END.match(text, searched)
    if found is not None:
        return found.end()
    for stop in range(len(text) - 1, max(len(text) - 5, 0), -1):
        if text[stop] & 0xC0 != 0x80:  # a character's first byte
            return stop
    return len(text)
