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
from gdist.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from gdist.data.storage import StoredFile

FORMATS = ("parquet", "arrow", "csv", "json_lines")


def open_readers(format: str, files: Sequence[StoredFile], *, options: Any = None) -> list[Reader]:
    """A reader of each file. The first file with rows settles the types of CSV and JSON lines, which do not say themselves;
    the names of all folders settle those of the folders' columns.
    """
    module = importlib.import_module(f"gdist.data.formats.{format}")
    hive = hive_schema([file.hive for file in files])
    settle = getattr(module, "settle", None)  # formats whose files say their types need none
    options = settle(files, options) if settle is not None else options
    readers: list[Reader] = []
    for file in files:
        reader: Reader = module.open_reader(file, options=options, hive=hive)
        readers.append(reader)
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
            merged = kind if other == kind else _merged(kind, other)
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
    if name not in reader.schema.names:
        close = difflib.get_close_matches(name, reader.schema.names, n=1)
        beside = f", but not in {first.file.shown}" if reader is not first else ""
        mend = f"did you mean `{close[0]}`?" if close and reader is first else "write the files with one schema"
        raise DataError(f"column `{name}` is missing here{beside}", where=reader.file.shown, help=mend)
    return reader.schema.field(name).type


def _merged(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both; None if there is none."""
    import pyarrow as pa

    dictionaries = pa.types.is_dictionary(one) + pa.types.is_dictionary(other)
    if dictionaries == 1 and not (pa.types.is_null(one) or pa.types.is_null(other)):
        return _merged(_plain(one), _plain(other))
    if pa.types.is_fixed_size_list(one) or pa.types.is_fixed_size_list(other):
        if not (pa.types.is_fixed_size_list(one) and pa.types.is_fixed_size_list(other)) or one.list_size != other.list_size:
            return other if pa.types.is_null(one) else one if pa.types.is_null(other) else None
        inner = one.value_type if one.value_type == other.value_type else _merged(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner, one.list_size)
    try:
        both = [pa.schema([("", kind)]) for kind in (one, other)]
        return pa.unify_schemas(both, promote_options="permissive").field(0).type
    except pa.ArrowTypeError:
        return None


def _plain(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind
