"""Several files of one format as one data set: opened with one set of types, and with one schema, or an error that says where
they differ.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gdist.data.formats.format import Reader
from gdist.data.formats.hive import hive_schema
from gdist.data.formats.kinds import widest
from gdist.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from gdist.data.storage import StoredFile

FORMATS = ("parquet", "arrow", "csv", "json_lines")


def suffixes(format: str) -> tuple[str, ...]:
    """Endings of a format's files."""
    found: tuple[str, ...] = importlib.import_module(f"gdist.data.formats.{format}").SUFFIXES
    return found


def open_readers(format: str, files: Sequence[StoredFile], *, options: Any = None) -> list[Reader]:
    """A reader of each file. The first file with rows settles the types of CSV and JSON lines, which do not say themselves;
    the names of all folders settle those of the folders' columns.
    """
    module = importlib.import_module(f"gdist.data.formats.{format}")
    settled = {"kinds": module.settle(files, options)} if hasattr(module, "settle") else {}
    readers: list[Reader] = [module.open_reader(file, options=options, **settled) for file in files]
    stored = {name for reader in readers for name in reader.stored.names}
    hive = hive_schema([file.hive for file in files], besides=stored)
    for reader in readers:
        reader.set_hive(hive)
    return readers


def common_schema(readers: Sequence[Reader], columns: Sequence[str]) -> pa.Schema:
    """The type of each of ``columns`` over all files, in the order given.

    Numbers become the widest that is there (int32 and int64: int64; int32 and float32: float64), a column of nulls takes the
    others' type, text as a dictionary and plain text are text. Raises DataError for other differences and for a column that a
    file lacks, naming both files.
    """
    import pyarrow as pa

    fields = []
    for name in columns:
        first = readers[0]
        kind = _kind(first, name, readers[0])
        for reader in readers[1:]:
            other = _kind(reader, name, readers[0])
            merged = kind if other == kind else widest(kind, other)
            if merged is None:
                raise DataError(
                    f"column `{name}` holds {other} here, but {kind} in {first.file.shown}",
                    where=reader.file.shown,
                    help="write the files with one schema",
                )
            if merged != kind:
                kind, first = merged, reader
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


def _kind(reader: Reader, name: str, first: Reader) -> pa.DataType:
    if reader.schema.get_field_index(name) < 0:
        close = difflib.get_close_matches(name, reader.schema.names, n=1)
        beside = f", but not in {first.file.shown}" if reader is not first else ""
        mend = f"did you mean `{close[0]}`?" if close and reader is first else "write the files with one schema"
        raise DataError(f"column `{name}` is missing here{beside}", where=reader.file.shown, help=mend)
    return reader.schema.field(name).type
