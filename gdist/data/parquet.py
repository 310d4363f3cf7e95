"""Parquet files: the format to prefer, for it reads only the columns that are used, and knows its row groups."""

from __future__ import annotations

from typing import ClassVar

from gdist.data.table import Table


class Parquet(Table):
    """``Parquet(path="train.parquet", target="label")``: every other column is a feature."""

    format: ClassVar[str] = "parquet"
