"""Arrow files (IPC, Feather): read where they lie, without decoding."""

from __future__ import annotations

from typing import ClassVar

from gdist.data.table import Table


class Arrow(Table):
    """``Arrow(path="train.arrow", target="label")``: every other column is a feature."""

    format: ClassVar[str] = "arrow"
