"""Columns of the data as they stand in it, to be put beside what is known of its rows: read once, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gdist.data.source import Rows
from gdist.data.table_rows import TableRows
from gdist.description import unknown
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def require_columns(rows: Rows, names: Sequence[str], *, taken: Sequence[str]) -> None:
    """Raises DataError, before anything is read, for a name that the data has not, or that is among ``taken``."""
    there = rows.groups.readers[0].schema.names if isinstance(rows, TableRows) else list(rows.columns())
    for name in names:
        if name in taken:
            raise DataError(f"column `{name}` cannot be kept: predictions have one of that name", where=f"--keep {name}")
        if name not in there:
            what, help = unknown("column", name, there, plural="columns")
            raise DataError(what, where=f"--keep {name}", help=help)


class Beside:
    """``pieces``: one column's values for all rows, in their order (``Rows.read_column``)."""

    def __init__(self, pieces: Iterator[pa.Array]) -> None:
        self._pieces = pieces
        self._held: list[pa.Array] = []
        self._first = 0  # the row that the first held piece begins with

    def at(self, rows: np.ndarray) -> pa.ChunkedArray:
        """The values of these rows: ascending, and none before those asked for last."""
        import pyarrow as pa
        import pyarrow.types as is_

        while self._held and self._first + len(self._held[0]) <= rows[0]:
            self._first += len(self._held.pop(0))
        while self._first + sum(map(len, self._held)) <= rows[-1]:
            piece = next(self._pieces)
            self._held.append(piece.dictionary_decode() if is_.is_dictionary(piece.type) else piece)
        return pa.chunked_array(self._held).take(pa.array(rows - self._first))
