"""Files that are whole or absent: written aside, synced, renamed, and the folder synced.

Invariant: whenever the process dies, a reader finds the old content or the new, never a part.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path, *, synced: Callable[[], object] = lambda: None) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of ``path``, durably, as the block ends; an error leaves the old one as it was.
    ``synced`` is called once the bytes are on the disk, and not yet at ``path``. Raises OSError."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        synced()
        os.replace(aside, path)
        sync_folder(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Replaces ``path`` by ``content``, durably. Raises OSError and leaves the old file as it was."""
    with whole_file(path) as file:
        file.write(content)


def sync_file(path: Path) -> None:
    """Waits until the file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Waits until the folder's entries (new names, renames, deletions) are on the disk."""
    sync_file(path)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
