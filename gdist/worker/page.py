"""The page on which a worker writes where it is, for whoever watches it from another process: no lock, no message.

8 bytes  count         how often the page was written; the same number stands at its end
8 bytes  step          signed, as all numbers little endian
4 bytes  first         micro-batch of the pass under way, -1: none
4 bytes  last          one past its last micro-batch
8 bytes  time          when this began: monotonic seconds of this host, float64
8 bytes  allowed       seconds that this may take before the worker counts as stuck; inf: it waits for others
48 bytes phase         UTF-8, padded with zeros
8 bytes  count
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

_FORM = struct.Struct("<Qqiidd48sQ")
_LOOKS = 5  # a page that changes under each of so many looks is one of a worker that gets on


@dataclass(frozen=True)
class Place:
    """Where a worker has been since ``time`` (monotonic seconds of its host). ``first``, ``last``: the micro-batches of the
    pass under way, [first, last); -1, -1: none. ``allowed``: seconds, as the worker itself has learned them."""

    step: int
    phase: str
    time: float
    first: int = -1
    last: int = -1
    allowed: float = math.inf

    def overdue(self, now: float) -> float:
        """Seconds past what is allowed; negative: so many are left."""
        return now - self.time - self.allowed


class Page:
    """The writer's side; one thread writes. ``path`` None: nothing is written."""

    def __init__(self, path: Path | None) -> None:
        self._memory: mmap.mmap | None = None
        self._count = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(_FORM.size))
            with path.open("r+b") as file:
                self._memory = mmap.mmap(file.fileno(), _FORM.size)

    def put(self, phase: bytes, step: int, first: int, last: int, since: float, allowed: float) -> None:
        """All fields; costs less than a microsecond."""
        if self._memory is not None:
            count = self._count = self._count + 1
            _FORM.pack_into(self._memory, 0, count, step, first, last, since, allowed, phase, count)


def read_page(path: Path) -> Place | None:
    """The last place written to ``path``; None where nothing was, or the writer is always just writing."""
    before = b""
    for _ in range(_LOOKS):
        try:
            content = path.read_bytes()
            count, step, first, last, since, allowed, phase, again = _FORM.unpack(content)
        except (OSError, struct.error):
            return None
        if content == before and count == again:  # twice the same, and whole: not read in the middle of a write
            if not count:
                return None
            return Place(step, phase.rstrip(b"\0").decode(errors="replace"), since, first, last, allowed)
        before = content
    return None
