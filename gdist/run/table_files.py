"""Table files that are written row group by row group, of the kind that a name's ending says: Parquet, Arrow, CSV, JSON lines.

To add a kind: a class with ``write`` and ``close``, and a line in ``KINDS``. No loop over rows in any of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class TableFile(Protocol):
    def write(self, table: pa.Table) -> None:
        """Appends the rows of ``table``, of the schema that the file was opened with. Raises OSError, pyarrow's errors."""

    def close(self) -> None: ...


class _Parquet:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def close(self) -> None:
        self._writer.close()


class _Arrow:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow as pa

        self._writer = pa.ipc.new_file(path, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _CSV:
    """A list becomes a column for each of its elements: ``prediction_0``, ``prediction_1`` ..."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.csv

        self._writer = pyarrow.csv.CSVWriter(path, _spread(schema.empty_table()).schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(_spread(table))

    def close(self) -> None:
        self._writer.close()


class _JSONLines:
    """A JSON object a line; NaN and infinity, which JSON has not, are null."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("wb")

    def write(self, table: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        pieces: list[Any] = []
        for name in table.column_names:
            comma = ", " if pieces else "{"
            pieces += [pa.scalar(f"{comma}{json.dumps(name, ensure_ascii=False)}: "), _as_json(_one_chunk(table[name]))]
        lines = pc.binary_join_element_wise(*pieces, pa.scalar("}\n"), "")
        whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
        self._file.write(pc.binary_join(whole, "")[0].as_buffer())

    def close(self) -> None:
        self._file.close()


KINDS: dict[str, type[Any]] = {".parquet": _Parquet, ".arrow": _Arrow, ".csv": _CSV, ".jsonl": _JSONLines}


def open_table_file(path: Path, schema: pa.Schema, *, kind: str) -> TableFile:
    """A new file at ``path``. ``kind``: an ending from ``KINDS``."""
    opened: TableFile = KINDS[kind](path, schema)
    return opened


def _spread(table: pa.Table) -> pa.Table:
    """Fixed-size lists as one column for each element, also those of lists of lists."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        if is_.is_fixed_size_list(column.type):
            inner = pa.table({f"{name}_{i}": pc.list_element(column, i) for i in range(column.type.list_size)})
            spread = _spread(inner)
            columns |= {each: spread[each] for each in spread.column_names}
        else:
            columns[name] = column
    return pa.table(columns)


def _as_json(column: pa.Array) -> pa.Array:
    """Each value as JSON text."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    kind = column.type
    if is_.is_fixed_size_list(kind):
        size = kind.list_size
        inner = _as_json(column.values.slice(column.offset * size, len(column) * size))
        ends = pa.array(np.arange(len(column) + 1, dtype=np.int32) * size)
        rows = pa.ListArray.from_arrays(ends, inner)
        text = pc.binary_join_element_wise(pa.scalar("["), pc.binary_join(rows, ", "), pa.scalar("]"), "")
        text = pc.if_else(column.is_null(), pa.scalar(None, text.type), text)
    elif is_.is_integer(kind) or is_.is_boolean(kind):
        text = column.cast(pa.string())
    elif is_.is_floating(kind):
        text = pc.if_else(pc.is_finite(column), column.cast(pa.string()), pa.scalar(None, pa.string()))
    else:
        found = column.cast(pa.string()).dictionary_encode()
        quoted = pa.array([json.dumps(word, ensure_ascii=False) for word in found.dictionary.to_pylist()], pa.string())
        text = quoted.take(found.indices)
    return text.fill_null("null")


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
