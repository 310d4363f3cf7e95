"""A file on this machine as the readers get it."""

from __future__ import annotations

from pathlib import Path

from gdist.data.storage.stored_file import StoredFile


def stored(path: Path, **hive: str) -> StoredFile:
    status = path.stat()
    return StoredFile(str(path), str(path), status.st_size, str(status.st_mtime_ns), hive)
