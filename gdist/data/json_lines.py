"""JSON lines: an object a line, whose types are found in the first rows, or said."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict

from gdist.data.formats.options import JsonLinesOptions
from gdist.data.table import Table


class JSONLines(Table, JsonLinesOptions):
    """``JSONLines(path="train.jsonl", target="label")``: every other name is a feature."""

    model_config = ConfigDict(strict=False)
    format: ClassVar[str] = "json_lines"

    def options(self) -> Any:
        return JsonLinesOptions(**{name: getattr(self, name) for name in JsonLinesOptions.model_fields})
