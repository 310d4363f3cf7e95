"""What CSV and JSON lines have in common: blocks of records, parsed by pyarrow, and bad records told from good ones.

A block is parsed whole. Only where that fails are its records looked at: parts of the block are parsed, by halves, until each
bad record is alone; so a bad record is whatever the parser itself does not take.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gdist.data.formats.blocks import Blocks
from gdist.data.formats.format import Read, Reader, damaged
from gdist.data.formats.records import Dialect, Records, count_records, find_records
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.storage import StoredFile

_SAMPLE_BYTES = 512 << 10


class TextReader(Reader):
    """``kinds`` are the columns' types as settled for all files of the data."""

    def __init__(self, file: StoredFile, kinds: pa.Schema, blocks: Blocks, dialect: Dialect) -> None:
        super().__init__(file, stored=kinds, groups=blocks.groups())
        self._blocks, self._dialect = blocks, dialect

    def fingerprint(self) -> str:
        """Of the size and the version; the content has no index that could be hashed instead."""
        return hashlib.sha256(f"{self.file.size}\n{self.file.version}".encode()).hexdigest()[:32]

    def _read(self, group: int, columns: list[str], *, skip_bad: bool) -> Read:
        data = self._block(group)
        self.count(len(data))
        is_last = group == len(self.groups) - 1  # only there may a quote stay open
        if not is_last or find_records(data, self._dialect).closed:
            table = self._try(data, columns, rows=self.groups[group].rows)
            if table is not None:
                return Read(table)
        return self._without_bad(data, group, columns, skip_bad=skip_bad)

    @abstractmethod
    def texts(self, group: int, column: str) -> tuple[pa.Array, np.ndarray]:
        """A column's values as text, without those that are missing or in bad records; and the row in the group of each."""

    def place_of_row(self, group: int, row: int) -> str:
        """Where a row of a group is, for a message."""
        data = self._block(group)
        return self._place(group, row, data[: find_records(data, self._dialect).starts[row]])

    def _place(self, group: int, row: int, before: bytes) -> str:
        """``before``: what stands before the row in its block."""
        line = self._blocks.first_line(group) + find_records(before, self._dialect).lines
        return f"{self.file.shown}, line {line} (row {self.groups[group].first_row + row})"

    def _block(self, group: int) -> bytes:
        offset, size = self._blocks.span(group)
        with self.file.open() as source:
            data: bytes = source.read_at(size, offset)
        if len(data) < size:
            raise damaged(self.place(group), "the file is shorter than it was")
        return data

    def _sample(self, group: int) -> bytes:
        """The first records of a block, to find types by."""
        data = self._block(group)
        size, _, _ = count_records(data[:_SAMPLE_BYTES], self._dialect, is_last=len(data) <= _SAMPLE_BYTES)
        return data[:size] if size else data

    def _without_bad(self, data: bytes, group: int, columns: list[str], *, skip_bad: bool) -> Read:
        import numpy as np
        import pyarrow as pa

        records = find_records(data, self._dialect)
        bad: dict[int, str] = {}
        for row in self._bad_rows(data, records, columns):
            record = data[records.starts[row] : records.ends[row]]
            is_open = not records.closed and row == len(records.starts) - 1
            what, mend = self._open_quote() if is_open else self._explain(record, columns)
            if not skip_bad:
                where = self._place(group, row, data[: records.starts[row]])
                raise DataError(what, where=where, note=f"it reads: {_shown(record)}", help=mend)
            bad[row] = what
        kept = np.ones(len(records.starts), np.bool_)
        kept[list(bad)] = False
        rows = np.flatnonzero(kept)
        pieces = [data[records.starts[first] : records.ends[last - 1]] for first, last in _runs(kept)]
        table = self._try(b"".join(pieces), columns, rows=len(rows)) if pieces else self.stored.empty_table().select(columns)
        if table is None or len(records.starts) != self.groups[group].rows:
            raise damaged(self.place(group), "its records cannot be told apart")
        return Read(pa.table(table), rows=rows if bad else None, bad=bad)

    def _bad_rows(self, data: bytes, records: Records, columns: list[str]) -> Iterator[int]:
        """Ascending. Halves are tried left before right, so that the first one comes soon."""
        is_open = not records.closed
        waiting = [(0, len(records.starts))]
        while waiting:
            first, last = waiting.pop()
            if first == last:
                continue
            holds_open = is_open and last == len(records.starts)
            part = data[records.starts[first] : records.ends[last - 1]]
            if not holds_open and self._try(part, columns, rows=last - first) is not None:
                continue
            if last - first == 1:
                yield first
                continue
            middle = (first + last) // 2
            waiting += [(middle, last), (first, middle)]

    def _try(self, data: bytes, columns: Sequence[str], *, rows: int) -> pa.Table | None:
        """The columns of whole records; None if any of them is bad."""
        import pyarrow as pa

        try:
            table = self._parse(data, columns)
        except (pa.ArrowInvalid, UnicodeError):
            return None
        return table if table.num_rows == rows else None

    @abstractmethod
    def _parse(self, data: bytes, columns: Sequence[str]) -> pa.Table:
        """Raises ArrowInvalid or UnicodeError for a bad record."""

    @abstractmethod
    def _explain(self, record: bytes, columns: Sequence[str]) -> tuple[str, str | None]:
        """(what is wrong with a record that ``_parse`` does not take, the mend)."""

    def _open_quote(self) -> tuple[str, str]:
        return "a quoted value is never closed", "is the file cut short?"


def _runs(kept: np.ndarray) -> Iterator[tuple[int, int]]:
    """The stretches of True, as (first, after the last)."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate(([False], kept, [False]))))
    yield from zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True)


def _shown(record: bytes, most: int = 60) -> str:
    text = record.decode("utf-8", "backslashreplace").rstrip("\r\n")
    return text if len(text) <= most else f"{text[:most]}..."
