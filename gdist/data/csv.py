"""CSV files, and others with a character between values: their types are found in the first rows, or said."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict

from gdist.data.formats.options import CsvOptions
from gdist.data.table import Table


class CSV(Table, CsvOptions):
    """``CSV(path="train.csv", target="label", delimiter=";")``: every other column is a feature."""

    model_config = ConfigDict(strict=False)
    format: ClassVar[str] = "csv"

    def options(self) -> Any:
        return CsvOptions(**{name: getattr(self, name) for name in CsvOptions.model_fields})
