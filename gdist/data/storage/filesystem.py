"""What gdist asks of a storage: what is at a path, what is in a folder, and the bytes of a range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """A file or a folder. ``version`` changes when the file is written again: its time of writing in ns, or its etag.

    ``node`` is the same for two names of one file, by links.
    """

    path: str
    is_file: bool
    size: int = 0
    version: str = ""
    node: tuple[int, int] | None = None


class Ranges(Protocol):
    """An open file, read by many threads at once."""

    def read_at(self, nbytes: int, offset: int) -> bytes: ...


class Changed(Exception):
    """A file is not the one that was found."""


def require_same(found: Entry, *, size: int, version: str) -> None:
    """Raises Changed for a file that has another ``size`` or ``version`` now. A version that is not told is not compared."""
    if size != found.size:
        raise Changed(f"it has {size} bytes now, and had {found.size}")
    if version and found.version and version != found.version:
        raise Changed(f"its version is {version} now, and was {found.version}")


class Filesystem(ABC):
    """Paths have ``/`` between names and none at the end. Methods raise what the library below raises: an OSError mostly."""

    @abstractmethod
    def info(self, path: str) -> Entry | None:
        """None where there is nothing."""

    @abstractmethod
    def entries(self, folder: str, *, recursive: bool) -> list[Entry]:
        """In any order; none where there is no such folder."""

    @abstractmethod
    def open(self, found: Entry) -> Ranges:
        """Raises Changed if the storage says, unasked, that the file is another one now than was found."""
