"""The row groups of a text file: blocks of whole records, found in one scan of the file and cached on the machine.

A block's start is a record's start, so that each can be parsed alone, at any time, by any thread.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gdist.data.cache import kept
from gdist.data.formats.format import Group
from gdist.data.formats.records import Dialect, count_records
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.storage import StoredFile

BLOCK_BYTES = 4 << 20
LONGEST_RECORD_BYTES = 64 << 20  # a quote that is never closed must not take the rest of the file into memory
_FORMAT = 2  # of the cached index; another number where its content means something else
_OFFSET, _BYTES, _FIRST_ROW, _ROWS, _FIRST_LINE = range(5)


class Blocks:
    """Where each block lies: an int64 table, one line a block."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def groups(self) -> list[Group]:
        return [Group(first_row, rows, size) for _, size, first_row, rows, _ in self.table.tolist()]

    def span(self, block: int) -> tuple[int, int]:
        """(offset, bytes)"""
        return int(self.table[block, _OFFSET]), int(self.table[block, _BYTES])

    def first_line(self, block: int) -> int:
        """The line in the file, from 1, of the block's first byte."""
        return int(self.table[block, _FIRST_LINE])


def find_blocks(file: StoredFile, dialect: Dialect, *, start: int, first_line: int) -> Blocks:
    """The blocks from byte ``start`` on, which is line ``first_line``. A larger file is scanned once a machine."""
    import numpy as np

    block_bytes = BLOCK_BYTES

    def scan() -> np.ndarray:
        with file.open() as source:
            found = _scan(source, file, dialect, start=start, first_line=first_line, block_bytes=block_bytes)
        file.open().close()  # that it is still the one that was found
        return found

    if file.size <= block_bytes:
        return Blocks(scan())
    parts = (_FORMAT, file.key(), dialect, start, block_bytes)
    fingerprint = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    content = kept("records", fingerprint, lambda: scan().tobytes())
    return Blocks(np.frombuffer(content, np.int64).reshape(-1, 5))


def _scan(
    source: pa.NativeFile, file: StoredFile, dialect: Dialect, *, start: int, first_line: int, block_bytes: int
) -> np.ndarray:
    import numpy as np

    found: list[tuple[int, ...]] = []
    offset, row, line = start, 0, first_line
    while offset < file.size:
        size, rows, lines = _block(source, file, dialect, offset=offset, line=line, block_bytes=block_bytes)
        if rows:
            found.append((offset, size, row, rows, line))
        offset, row, line = offset + size, row + rows, line + lines
    return np.array(found, np.int64).reshape(-1, 5)


def _block(
    source: pa.NativeFile, file: StoredFile, dialect: Dialect, *, offset: int, line: int, block_bytes: int
) -> tuple[int, int, int]:
    """(bytes, records, lines) of the block at ``offset``: longer than usual where one record is."""
    wanted = block_bytes
    while True:
        data = source.read_at(min(wanted, file.size - offset), offset)
        is_last = offset + wanted >= file.size
        if not data:
            raise DataError("the file is shorter than it was", where=file.shown, help="has it been written again meanwhile?")
        size, rows, lines = count_records(data, dialect, is_last=is_last)
        if size:
            return size, rows, lines
        if wanted >= LONGEST_RECORD_BYTES:
            what = f"a record of more than {LONGEST_RECORD_BYTES >> 20} MiB"
            help = "is a quote never closed?" if dialect.quote is not None else "each record must be a line of its own"
            raise DataError(what, where=f"{file.shown}, line {line}", help=help)
        wanted *= 4
