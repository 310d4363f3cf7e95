"""Columns that stand in folder names, as in ``year=2024/month=5/part-0.parquet``: the same value in every row of a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_MISSING = "__HIVE_DEFAULT_PARTITION__"  # Hive's own word for a null


def hive_schema(found: Sequence[dict[str, str]], *, besides: Collection[str] = ()) -> pa.Schema:
    """Types of the folders' columns over all files: int64 if all values are whole numbers, else text.

    ``besides``: columns that the files themselves have, which stand.
    """
    import pyarrow as pa

    names = dict.fromkeys(name for each in found for name in each if name not in besides)
    return pa.schema([(name, _kind([each.get(name, _MISSING) for each in found])) for name in names])


def hive_column(value: str | None, kind: pa.DataType, *, rows: int) -> pa.Array:
    """``rows`` times the value; text as a dictionary of one entry, so that it takes 4 bytes a row."""
    import numpy as np
    import pyarrow as pa

    if value is None or value == _MISSING:
        return pa.nulls(rows, kind)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([value], kind.value_type))
    return pa.array(np.full(rows, int(value)), kind)


def _kind(values: Sequence[str]) -> pa.DataType:
    import pyarrow as pa

    known = [value for value in values if value != _MISSING]
    whole = all(_is_int64(value) for value in known)
    return pa.int64() if known and whole else pa.dictionary(pa.int32(), pa.string())


def _is_int64(value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdigit() and abs(int(digits)) < 2**63
