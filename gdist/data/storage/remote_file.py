"""A file of an object store as pyarrow reads one: at any offset, by many threads, asked again when the network fails it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from gdist.data.storage.filesystem import Entry, Ranges

if TYPE_CHECKING:
    from gdist.data.storage.place import Place


class RemoteFile:
    """What pyarrow's PythonFile asks for: ``seek``, ``read``, ``tell``.

    pyarrow reads at an offset by ``seek`` and then ``read`` on one thread, with other threads in between. So a ``seek``
    counts for the next ``read`` of its own thread first, and only then for what is read in sequence.
    """

    def __init__(self, place: Place, found: Entry, *, shown: str) -> None:
        self._place = place
        self._found = found
        self._shown = shown
        self._size = found.size
        self._position = 0
        self.closed = False
        self._sought = threading.local()
        self._lock = threading.Lock()
        self._ranges: Ranges | None = place.ask(self._opened, shown=shown)

    def read(self, nbytes: int | None = None) -> bytes:
        start: int = self._sought.__dict__.pop("position", self._position)
        left = max(0, self._size - start)
        wanted = left if nbytes is None or nbytes < 0 else min(nbytes, left)
        data = self._place.ask(lambda: self._read(wanted, start), shown=self._shown) if wanted else b""
        self._position = start + wanted
        return data

    def _read(self, nbytes: int, offset: int) -> bytes:
        """One attempt; after a failed one the next opens the file anew."""
        with self._lock:
            if self._ranges is None:
                self._ranges = self._opened()
            ranges = self._ranges
        try:
            data = ranges.read_at(nbytes, offset)
            if len(data) != nbytes:
                raise ConnectionError(f"{len(data)} bytes came of {nbytes} at {offset}; the file had {self._size}")
        except Exception:
            with self._lock:
                if self._ranges is ranges:
                    self._ranges = None
            raise
        return data

    def _opened(self) -> Ranges:
        return self._place.filesystem().open(self._found)

    def close(self) -> None:
        self.closed = True
        self._ranges = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._size}[whence]
        self._position = self._sought.position = start + offset
        return self._position

    def tell(self) -> int:
        return getattr(self._sought, "position", self._position)
