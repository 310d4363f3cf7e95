"""What every file format is to the rest: a schema, row groups, and the columns of one row group at a time.

Rows are numbered within their file, from 0, in the file's own order; a bad row keeps its number. What is wrong with a file
is a DataError that names file, row group, row, column and the mend, never a library's own error.
"""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gdist.data.formats.hive import hive_column, hive_schema
from gdist.data.formats.kinds import is_text
from gdist.description import nearest
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.storage import StoredFile

_LISTED = 12  # columns in a message


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are read at once. ``stored_bytes`` is what they take in the file, all columns."""

    first_row: int
    rows: int
    stored_bytes: int


@dataclass(slots=True)
class Read:
    """Columns of one row group."""

    table: pa.Table
    rows: np.ndarray | None = None  # int64, ascending: local row numbers of the table's rows, if bad ones are left out
    bad: dict[int, str] = field(default_factory=dict)  # local row number -> what is wrong with it


class Reader(ABC):
    """One file. Its methods may be called from several threads at once; it holds no open file, and can be pickled.

    ``schema`` has the file's columns, then those of its folder's names (``year=2024/``). ``bytes_read`` counts what has
    been read of the rows so far, in bytes as stored.
    """

    def __init__(self, file: StoredFile, *, stored: pa.Schema, groups: Sequence[Group]) -> None:
        self.file = file
        self.groups = list(groups)
        self.stored = stored
        self.bytes_read = 0
        self._count = threading.Lock()
        refuse_twins(stored.names, where=file.shown)
        self.set_hive(hive_schema([file.hive], besides=stored.names))

    def set_hive(self, hive: pa.Schema) -> None:
        """The columns of the folders' names, with their types: over several files, once all are known."""
        self.hive = hive
        self.schema = self.stored
        for each in hive:
            self.schema = self.schema.append(each)

    def with_text(self, columns: Collection[str]) -> Reader:
        """This reader, with those of ``columns`` as text whose types are guessed (``guesses``, and folders' names): a column
        that was text in training may hold nothing but digits here."""
        import pyarrow as pa

        guessed = [each.name for each in self.stored if each.name in columns and self.guesses(each.type)]
        named = [each.name for each in self.hive if each.name in columns and not is_text(each.type)]
        if not guessed and not named:
            return self
        found = copy.copy(self)
        found.stored = _retyped(self.stored, guessed, pa.string())
        found.set_hive(_retyped(self.hive, named, pa.dictionary(pa.int32(), pa.string())))
        return found

    def guesses(self, kind: pa.DataType) -> bool:
        """Whether a column of such a type might be text, for all that the file says."""
        return False

    @property
    def rows(self) -> int:
        return self.groups[-1].first_row + self.groups[-1].rows if self.groups else 0

    def read(self, group: int, columns: Sequence[str], *, skip_bad: bool = False) -> Read:
        """``columns`` of row group ``group``, in the order given; what lies in other columns is not looked at.

        Raises DataError for a damaged file, and for a bad row unless ``skip_bad``, which leaves such rows out.
        """
        for name in columns:
            if name not in self.schema.names:
                names = self.schema.names
                near = nearest(name, names)
                listed = ", ".join(f"`{each}`" for each in names[:_LISTED]) + (" ..." if len(names) > _LISTED else "")
                mend = f"did you mean `{near}`?" if near else None
                raise DataError(f"no column `{name}`", where=self.file.shown, note=f"columns: {listed}", help=mend)
        stored = [name for name in columns if name in self.stored.names]
        read = self._read(group, stored, skip_bad=skip_bad) if stored else Read(_rows_alone(self.groups[group].rows))
        for each in self.hive:
            if each.name in columns:
                values = hive_column(self.file.hive.get(each.name), each.type, rows=read.table.num_rows)
                read.table = read.table.append_column(each, values)
        if read.table.column_names != list(columns):
            read.table = read.table.select(list(columns))
        return read

    @abstractmethod
    def _read(self, group: int, columns: list[str], *, skip_bad: bool) -> Read:
        """``columns`` as stored, in any order."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Of the content, as far as it is cheaply known."""

    def statistics(self) -> dict[str, tuple[int, Any, Any]]:
        """(nulls, least value, greatest value) of the columns of which the file itself says so; None for a value not said."""
        return {}

    def place(self, group: int) -> str:
        """Where a row group is, for a message."""
        return place(self.file.shown, group, self.groups[group])

    def count(self, stored_bytes: int) -> None:
        with self._count:
            self.bytes_read += stored_bytes

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_count"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._count = threading.Lock()


def _retyped(schema: pa.Schema, names: Collection[str], kind: pa.DataType) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(each.name, kind if each.name in names else each.type) for each in schema], schema.metadata)


def place(shown: str, number: int, group: Group) -> str:
    """``train.parquet, row group 3 (rows 300 to 399)``."""
    rows = f"rows {group.first_row} to {group.first_row + group.rows - 1}" if group.rows > 1 else f"row {group.first_row}"
    return f"{shown}, row group {number} ({rows})" if group.rows else f"{shown}, row group {number} (no rows)"


def damaged(where: str, note: str) -> DataError:
    return DataError("a data file is damaged", where=where, note=note, help="write it again")


def reason(error: BaseException) -> str:
    """A library's error in one line, for a note."""
    line = (str(error).strip().splitlines() or [""])[0].rstrip(". ")
    return line or type(error).__name__


def _rows_alone(rows: int) -> pa.Table:
    """A table of no columns that has rows nevertheless."""
    import pyarrow as pa

    return pa.table({"": pa.nulls(rows)}).select([])


def refuse_twins(names: list[str], *, where: str) -> None:
    if len(set(names)) < len(names):
        twin = next(name for i, name in enumerate(names) if name in names[:i])
        raise DataError(f"two columns are named `{twin}`", where=where, help="rename one of them")
