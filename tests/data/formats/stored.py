"""Files on this machine as the readers get them, whole and damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from gdist.data.storage.stored_file import StoredFile
from gdist.errors import DataError


def stored(path: Path, **hive: str) -> StoredFile:
    status = path.stat()
    return StoredFile(str(path), str(path), status.st_size, str(status.st_mtime_ns), hive)


def refused(read: Callable[[], object]) -> str | None:
    """The message of the DataError that ``read`` raises; None if it raises none. Anything else that it raises is a failure."""
    try:
        read()
    except DataError as error:
        return str(error)
    return None


def read_all(path: Path, module: ModuleType, *, options: Any = None) -> pa.Table:
    """All rows of all groups."""
    reader = module.open_reader(stored(path), options=options)
    tables = [reader.read(group, reader.schema.names).table for group in range(len(reader.groups))]
    return pa.concat_tables(tables) if tables else reader.schema.empty_table()


def survives_every_cut(path: Path, module: ModuleType, *, every: int = 50, options: Any = None) -> tuple[int, int]:
    """Cuts the file short at every 50th byte, and overwrites every 50th byte: each is read or a DataError.

    Returns how many of each were refused.
    """
    whole = path.read_bytes()
    cut = path.with_name(f"cut-{path.name}")
    refusals = [0, 0]
    for at in range(0, len(whole), every):
        for number, damaged in enumerate((whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])):
            cut.write_bytes(damaged)
            refusals[number] += refused(lambda: read_all(cut, module, options=options)) is not None
    return refusals[0], refusals[1]
