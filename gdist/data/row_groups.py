"""The row groups of all files of a table, numbered through; raw rows number the rows of all of them, in this order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gdist.data.identity import stamps
from gdist.data.learned.values import to_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.formats.format import Reader
    from gdist.data.index import Index


class RowGroup(NamedTuple):
    """Number ``number`` of file ``file``, whose rows begin with ``first_row`` in the file."""

    file: int
    number: int
    first_row: int
    rows: int


class RowGroups:
    """``readers``: one a file. ``skip_bad``: rows that cannot be read are passed over, but keep their numbers."""

    def __init__(self, readers: Sequence[Reader], *, skip_bad: bool) -> None:
        import numpy as np

        self.readers = list(readers)
        self.skip_bad = skip_bad
        self.each = [
            RowGroup(file, number, group.first_row, group.rows)
            for file, reader in enumerate(self.readers)
            for number, group in enumerate(reader.groups)
        ]
        self.bounds = np.cumsum(
            [0, *(group.rows for group in self.each)], dtype=np.int64
        )  # raw rows of each: from, to the next

    def __len__(self) -> int:
        return len(self.each)

    @property
    def rows(self) -> int:
        """Of all files together."""
        return int(self.bounds[-1])

    @property
    def largest(self) -> int:
        """Rows of the largest row group."""
        return max((group.rows for group in self.each), default=0)

    @property
    def bytes_read(self) -> int:
        """Bytes of rows read from storage so far, as stored."""
        return sum(reader.bytes_read for reader in self.readers)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The number of each raw row's row group: int64, the same shape."""
        found: np.ndarray = self.bounds.searchsorted(rows, side="right") - 1
        return found

    def identities(self, rows: np.ndarray) -> np.ndarray:
        """The stamps of raw rows, by their place alone: int64, the same shape."""
        import numpy as np

        out = np.empty(len(rows), dtype=np.int64)
        groups = self.of(rows)
        for number in np.unique(groups).tolist():
            here = groups == number
            out[here] = stamps(self.each[number].file, rows[here] - self.bounds[number] + self.each[number].first_row)
        return out

    def place(self, row: int) -> str:
        """``data/part-3.parquet, row 17``."""
        number = int(self.bounds.searchsorted(row, side="right")) - 1
        group = self.each[number]
        return f"{self.readers[group.file].file.shown}, row {row - int(self.bounds[number]) + group.first_row}"

    def column(self, name: str) -> Iterator[pa.Array]:
        """The values of one column for all raw rows. A row that cannot be read has another one's value; nobody uses it."""
        import numpy as np
        import pyarrow as pa

        for group in self.each:
            reader = self.readers[group.file]
            read = reader.read(group.number, [name], skip_bad=self.skip_bad)
            column = read.table.column(0)
            if read.rows is not None and not len(read.rows):
                column = pa.chunked_array([pa.nulls(group.rows, column.type)])
            elif read.rows is not None:
                before = read.rows.searchsorted(np.arange(group.rows), side="right") - 1
                column = column.take(to_arrow(np.maximum(before, 0)))
            yield column.combine_chunks()

    def files(self) -> list[dict[str, Any]]:
        """What tells of each file whether it is still the same: JSON."""
        return [reader.file.identity() | {"content": reader.fingerprint(), "rows": reader.rows} for reader in self.readers]

    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(reader.fingerprint() for reader in self.readers).encode()).hexdigest()[:32]


class TrainingRows:
    """The rows of ``index`` alone, row group by row group, as the statistics pass reads them."""

    def __init__(self, groups: RowGroups, schema: pa.Schema, index: Index) -> None:
        self.schema = schema
        self.groups = groups.each
        self._groups, self._index = groups, index

    def read_group(self, i: int, columns: Sequence[str]) -> tuple[pa.Table, str, int | np.ndarray]:
        """(``columns`` of the rows in use, where the row group is, the number in its file of the first row or of each)."""
        import numpy as np
        import pyarrow as pa

        group = self.groups[i]
        reader = self._groups.readers[group.file]
        read = reader.read(group.number, list(columns), skip_bad=self._groups.skip_bad)
        begin = int(self._groups.bounds[i])
        kept = self._index.local(begin, begin + group.rows)
        where = reader.place(group.number)
        if len(kept) == group.rows and read.rows is None:
            return read.table, where, group.first_row
        if read.rows is None:
            mask = np.zeros(group.rows, dtype=bool)
            mask[kept] = True
        else:
            mask = np.isin(read.rows, kept, assume_unique=True)
            kept = read.rows[mask]
        return read.table.filter(pa.array(mask)), where, group.first_row + kept
