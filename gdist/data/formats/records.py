"""Where the records of a text file end: found over all bytes of a block at once, not by a loop over rows.

A record is a line, except that a quoted value may hold line ends. Lines without anything are no records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gdist.data.formats.bits import after, before, between, count, equal, last, pack, positions

if TYPE_CHECKING:
    import numpy as np

_LF, _CR, _BRACE, _CLOSING_BRACE = 10, 13, ord("{"), ord("}")


@dataclass(frozen=True)
class Dialect:
    """What may stand around and inside values; ``quote`` None: none is quoted. ``json``: a record is an object, on one line."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    json: bool = False

    @cached_property
    def quoted_value(self) -> re.Pattern[bytes]:
        """A quoted value, to its closing quote or to the end of the text (which is group 1), or something escaped elsewhere.

        A quote opens a value at its start only.
        """
        delimiter, quote, escape = (re.escape((mark or "").encode()) for mark in (self.delimiter, self.quote, self.escape))
        inside = rb"[^%b%b]+|%b%b" % (quote, escape, quote, quote)
        if self.escape is not None:
            inside += rb"|%b(?:.|\Z)" % escape
        value = rb"(?:\A|(?<=[%b\n\r]))%b(?:%b)*+(?:%b|(\Z))" % (delimiter, quote, inside, quote)
        return re.compile(value + (rb"|%b." % escape if self.escape is not None else b""), re.DOTALL)


JSON = Dialect(quote=None, json=True)


@dataclass(frozen=True)
class Records:
    """``starts`` and ``ends`` (int64, in bytes) of the records, blank lines left out; an end is after the line end.

    ``closed`` is False where the text ends inside a quoted value; ``lines`` are physical lines.
    """

    starts: np.ndarray
    ends: np.ndarray
    lines: int
    closed: bool


def count_records(text: bytes, dialect: Dialect, *, is_last: bool) -> tuple[int, int, int]:
    """(bytes up to the last whole record's end, records, lines). ``is_last``: the end of the text ends a record too.

    0 bytes: there is no whole record.
    """
    ends, blank, line_ends, _ = _marked(text, dialect, is_last=is_last)
    size = last(ends) + 1
    lines = count(line_ends) if size == len(text) else count(_upto(line_ends, size))
    return size, count(ends) - count(blank), lines


def find_records(text: bytes, dialect: Dialect, *, is_last: bool = True) -> Records:
    import numpy as np

    ends, blank, line_ends, closed = _marked(text, dialect, is_last=is_last)
    all_ends = positions(ends) + 1
    starts = np.concatenate((np.zeros(min(len(all_ends), 1), np.int64), all_ends[:-1]))
    keep = ~np.isin(all_ends, positions(blank) + 1, assume_unique=True)
    lines = count(_upto(line_ends, int(all_ends[-1]) if len(all_ends) else 0))
    return Records(starts[keep], all_ends[keep], lines, closed)


def are_objects(text: bytes) -> bool:
    """Whether each line that holds anything begins with a brace and ends with one."""
    import numpy as np

    octets = np.frombuffer(text, np.uint8)
    line_ends, opening, closing = (equal(octets, mark) for mark in (_LF, _BRACE, _CLOSING_BRACE))
    odd = after(line_ends, first=True) & ~opening
    odd_ends = line_ends & ~after(closing, first=False)
    if odd_ends.any():
        odd_ends &= ~after(equal(octets, _CR) & after(closing, first=False), first=False)
    at = {text.rfind(b"\n", 0, position) + 1 for position in (*positions(odd_ends).tolist(), len(text))}
    for start in at.union(positions(odd).tolist()):
        end = text.find(b"\n", start)
        line = text[start : end if end >= 0 else len(text)].strip()
        if line and not (line.startswith(b"{") and line.endswith(b"}")):
            return False
    return True


def deepest(text: bytes, records: Records) -> int:
    """How many levels of lists and objects there are at most, brackets in text counted too."""
    import numpy as np

    octets = np.frombuffer(text, np.uint8)
    if not len(records.starts):
        return 0
    opening = (octets == _BRACE) | (octets == ord("["))
    closing = (octets == _CLOSING_BRACE) | (octets == ord("]"))
    levels = np.cumsum(opening.view(np.int8) - closing.view(np.int8), dtype=np.int32)
    before = np.where(records.starts > 0, levels[records.starts - 1], 0)
    return int((np.maximum.reduceat(levels, records.starts) - before).max())


def _marked(text: bytes, dialect: Dialect, *, is_last: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Bits at the last byte of each record, of each blank record, and of each line; and whether the last quote is closed."""
    import numpy as np

    octets = np.frombuffer(text, np.uint8)
    line_ends = equal(octets, _LF)
    returns = None
    if b"\r" in text and not dialect.json:  # alone it ends a line too, as in pyarrow; last in a block it may not be alone
        returns = equal(octets, _CR)
        line_ends = line_ends | (returns & ~before(line_ends))
        if not is_last and text.endswith(b"\r"):
            line_ends[-1] &= ~_bit(len(text) - 1)
    ends, closed = line_ends, True
    if dialect.quote is not None and dialect.quote.encode() in text:
        inside, closed = _inside_quotes(text, octets, line_ends, dialect)
        ends = line_ends & ~inside
    starts = after(ends, first=True)
    if dialect.json:
        blank = _blank_json(text, starts & ~equal(octets, _BRACE), ends)
    else:
        blank = ends & starts & (line_ends if returns is None else line_ends | returns)
        if returns is not None:
            blank |= ends & after(returns & starts, first=False) & equal(octets, _LF)
    if is_last and text and last(line_ends) != len(text) - 1:
        line_ends = line_ends.copy()
        line_ends[-1] |= _bit(len(text) - 1)
    if is_last and text and last(ends) != len(text) - 1:
        is_blank = dialect.json and not text[last(ends) + 1 :].strip()
        ends, blank = ends.copy(), blank.copy()
        ends[-1] |= _bit(len(text) - 1)
        if is_blank:
            blank[-1] |= _bit(len(text) - 1)
    return ends, blank, line_ends, closed


def _inside_quotes(text: bytes, octets: np.ndarray, line_ends: np.ndarray, dialect: Dialect) -> tuple[np.ndarray, bool]:
    """Bits inside a quoted value, and whether the last such value is closed.

    Where each opening quote is at a value's start, a byte is inside after an odd number of quotes. Else, as in ``5" pipe``
    or with an escape, the values are matched one by one.
    """
    import numpy as np

    if dialect.escape is None:
        quotes = equal(octets, ord(dialect.quote or ""))
        inside = between(quotes)
        may_precede = equal(octets, ord(dialect.delimiter)) | line_ends | (quotes & ~inside)  # the last: doubled, one inside
        if not (quotes & inside & ~after(may_precede, first=True)).any():
            return inside, not (count(quotes) % 2)
    edges = np.zeros(len(text) + 1, np.int8)
    matched = None
    for matched in dialect.quoted_value.finditer(text):
        edges[matched.start()] += 1
        edges[matched.end()] -= 1
    return pack(np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)), matched is None or matched.group(1) is None


def _blank_json(text: bytes, odd_starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Of the few lines that do not begin with a brace, those of white space only."""
    import numpy as np

    odd = positions(odd_starts)
    blank = np.zeros_like(ends)
    if len(odd):
        at = positions(ends)
        for start, end in zip(
            odd.tolist(), at[np.searchsorted(at, odd[odd <= at[-1]])].tolist() if len(at) else [], strict=False
        ):
            if not text[start : end + 1].strip():
                blank[end // 64] |= _bit(end)
    return blank


def _upto(words: np.ndarray, size: int) -> np.ndarray:
    """The bits of the first ``size`` bytes."""
    import numpy as np

    found = words[: -(-size // 64)].copy()
    if size % 64:
        found[-1] &= np.uint64((1 << size % 64) - 1)
    return found


def _bit(position: int) -> np.uint64:
    import numpy as np

    return np.uint64(1 << (position % 64))
