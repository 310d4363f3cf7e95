"""The page on which a worker writes where it is, for whoever watches it from another process: no lock, no message.

8 bytes  step          signed, little endian
8 bytes  time          monotonic seconds of this host, float64
48 bytes phase         UTF-8, padded with zeros
"""

from __future__ import annotations

import mmap
import struct
import time
from dataclasses import dataclass
from pathlib import Path

_FORM = struct.Struct("<qd48s")


@dataclass(frozen=True)
class Place:
    """Where a worker was at ``time`` (monotonic seconds of its host)."""

    step: int
    phase: str
    time: float


class Page:
    """The writer's side. ``path`` None: nothing is written."""

    def __init__(self, path: Path | None) -> None:
        self._memory: mmap.mmap | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(_FORM.size))
            with path.open("r+b") as file:
                self._memory = mmap.mmap(file.fileno(), _FORM.size)

    def write(self, phase: str, step: int) -> None:
        if self._memory is not None:
            _FORM.pack_into(self._memory, 0, step, time.monotonic(), phase.encode()[:48])


def read_page(path: Path) -> Place | None:
    """The last place written to ``path``; None where nothing was."""
    try:
        step, when, phase = _FORM.unpack(path.read_bytes())
    except (OSError, struct.error):
        return None
    return Place(step, phase.rstrip(b"\0").decode(errors="replace"), when) if when else None
