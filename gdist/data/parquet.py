"""Parquet files: the format to prefer, for it reads only the columns that are used, and knows its row groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdist.data.table import Table

if TYPE_CHECKING:
    from gdist.data.formats.format import Reader
    from gdist.data.storage import StoredFile


class Parquet(Table):
    """``Parquet(path="train.parquet", target="label")``: every other column is a feature."""

    def suffixes(self) -> tuple[str, ...]:
        from gdist.data.formats import parquet

        return parquet.SUFFIXES

    def readers(self, files: Sequence[StoredFile]) -> list[Reader]:
        from gdist.data.formats import parquet

        return [parquet.open_reader(file) for file in files]
