"""Files of this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gdist.data.storage.filesystem import Entry, Filesystem, require_same
from gdist.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


class LocalFiles(Filesystem):
    """Links are followed, to files and to folders; a link to a folder that it is in is not. A link to nothing is nothing."""

    def info(self, path: str) -> Entry | None:
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not _is_readable(status):
            what, help = "a pipe, a socket or a device cannot be read at any offset", "write what comes from it to a file first"
            raise DataError(what, where=path, help=help)
        return _entry(path, status)

    def entries(self, folder: str, *, recursive: bool) -> list[Entry]:
        return list(_walk(folder, recursive, frozenset())) if os.path.isdir(folder) else []

    def open(self, found: Entry, *, memory_map: bool = False) -> pa.NativeFile:
        """pyarrow's own file, so that reads do not pass through Python."""
        import pyarrow as pa

        file = pa.memory_map(found.path) if memory_map else pa.OSFile(found.path)
        now = os.fstat(file.fileno())  # of the file that is open: 2 us
        require_same(found, size=now.st_size, version=str(now.st_mtime_ns))
        return file


def _walk(folder: str, recursive: bool, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
    """``above`` are the folders on the way down, by device and inode."""
    own = os.stat(folder)
    above |= {(own.st_dev, own.st_ino)}
    with os.scandir(folder) as children:
        for child in children:
            try:
                status = child.stat()
            except FileNotFoundError:
                continue
            if _is_readable(status):
                yield _entry(child.path, status)
            if recursive and stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) not in above:
                yield from _walk(child.path, recursive, above)


def _is_readable(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


def _entry(path: str, status: os.stat_result) -> Entry:
    return Entry(
        path, not stat.S_ISDIR(status.st_mode), status.st_size, str(status.st_mtime_ns), (status.st_dev, status.st_ino)
    )
