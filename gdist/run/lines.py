"""JSON lines that only grow: ``metrics.jsonl`` and ``events.jsonl``.

Invariant: a line is there whole or not at all. A writer that dies inside a line leaves a torn tail without a newline;
readers ignore it and the next writer cuts it. One process writes a file at a time; any number read it.

JSON has no NaN and no infinity: as values of metrics they are written as the words "nan", "inf", "-inf"
(``read_lines(numbers=True)`` turns them back), so that any JSON reader can read the file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_json(value: Any, *, indent: int | None = None) -> str:
    """``value`` as strict JSON at full float precision; scalars of torch and NumPy count as numbers, paths as text."""
    try:
        return json.dumps(value, allow_nan=False, default=_plain, ensure_ascii=False, indent=indent)
    except ValueError:
        return json.dumps(_worded(value), allow_nan=False, ensure_ascii=False, indent=indent)


def append_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Appends each dict as one line, all of them in one write; a torn tail is cut first. Raises OSError."""
    content = "".join(to_json(line) + "\n" for line in lines).encode()
    if not content:
        return
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        _cut_torn_tail(descriptor)
        view = memoryview(content)
        while view:  # a write may be partial on a full disk: what is left then raises
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def read_lines(path: Path, *, numbers: bool = False) -> Iterator[dict[str, Any]]:
    """The whole lines, in the order written; nothing if there is no file. ``numbers``: "nan" and "inf" become floats.

    A line that is not JSON (a bad disk) is left out.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    yield from parse_lines(content, numbers=numbers)


def parse_lines(content: bytes, *, numbers: bool = False) -> Iterator[dict[str, Any]]:
    """The whole lines of what a file holds, or of its end from the beginning of a line on; see ``read_lines``."""
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        try:
            value = json.loads(line, object_hook=_numbered if numbers else None)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def _cut_torn_tail(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    end = size
    while end:  # backwards in blocks to the last newline
        start = max(0, end - 65536)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            os.ftruncate(descriptor, start + found + 1)
            return
        end = start
    os.ftruncate(descriptor, 0)


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if callable(getattr(value, "item", None)):  # a scalar of torch or NumPy, without importing either
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _worded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _worded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_worded(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    return _worded(_plain(value))


def _numbered(found: dict[str, Any]) -> dict[str, Any]:
    return {key: _NOT_FINITE.get(item, item) if isinstance(item, str) else item for key, item in found.items()}
