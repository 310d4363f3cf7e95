"""How often each value of a column occurs: vocabularies and most frequent values.

Counts are united over parts and workers by value, so they depend on neither order nor number of workers. At most
``MOST_CATEGORIES`` distinct values are kept; a column with more is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.data.learned.values import numbers, whole

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_CATEGORIES = 1_000_000
_WAITING = 1 << 17  # counts that are not yet united


class Counts:
    """Of one column, or of one element of its lists. ``overflow``: it has too many values, and none is kept."""

    coarse = False

    def __init__(self) -> None:
        self.overflow = False
        self._tables: list[pa.Table] = []
        self._waiting = 0

    def add(self, values: pa.Array) -> None:
        """Counts values without nulls or NaN; numbers, text or booleans, or a dictionary of them."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.types as is_

        if self.overflow or not len(values):
            return
        if is_.is_float16(values.type):  # which Arrow counts and sorts only as a wider one
            values = values.cast(pa.float32())
        if is_.is_floating(values.type):
            values = pc.add(values, pa.scalar(0, values.type))  # -0.0 becomes 0.0
        found = pc.value_counts(values)
        distinct = found.field(0)
        if is_.is_dictionary(distinct.type):
            distinct = distinct.dictionary.take(distinct.indices)
        self.unite(pa.table({"value": distinct, "count": found.field(1)}))

    def unite(self, counts: pa.Table, *, coarse: bool = False) -> None:
        """Adds what ``table`` gave, of another part or worker."""
        if self.overflow or not len(counts):
            return
        self._tables.append(counts)
        self._waiting += len(counts)
        if self._waiting > max(_WAITING, len(self._tables[0])):
            self.table()

    def table(self) -> pa.Table:
        """Columns ``value`` (ascending, each once) and ``count`` (int64)."""
        import pyarrow as pa

        if not self._tables:
            return pa.table({"value": pa.nulls(0, pa.string()), "count": pa.nulls(0, pa.int64())})
        united = pa.concat_tables(self._tables)
        if self._waiting:
            united = united.group_by("value").aggregate([("count", "sum")]).rename_columns(["value", "count"])
            united = united.sort_by("value").combine_chunks()
        self.overflow = len(united) > MOST_CATEGORIES
        self._tables, self._waiting = [united.slice(0, 0) if self.overflow else united], 0
        return self._tables[0]

    def vocabulary(self) -> list[object]:
        """The values, ascending."""
        found: list[object] = self.table()["value"].to_pylist()
        return found

    def conclude(self) -> object:
        """The least of the most frequent values; None where there is none."""
        table = self.table()
        return table["value"][int(counts_of(table).argmax())].as_py() if len(table) else None


def counts_of(table: pa.Table) -> np.ndarray:
    return numbers(whole(table["count"]))
