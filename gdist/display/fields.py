"""The fields of a job, or of a part of it, with what they take and what they mean (pure)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from gdist.description import FieldHelp

_WIDTH = 80
_INDENT = " " * 6


def field_lines(fields: Mapping[str, FieldHelp], *, prefix: str = "") -> list[str]:
    """``prefix``: the path of the part, with its dot: ``optimizer.``"""
    lines = []
    for field in fields.values():
        default = "" if field.default is None else f"   (default {_shortened(field.default)})"
        lines.append(f"  {prefix}{field.name}{default}")
        lines += textwrap.wrap(field.description, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
        lines += textwrap.wrap(f"takes {field.allowed}", _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return lines


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
