"""Which format a file seems to have, by its first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.errors import DataError

if TYPE_CHECKING:
    from gdist.data.storage import StoredFile

SOURCES = {"parquet": "Parquet", "arrow": "Arrow", "csv": "CSV", "json_lines": "JSONLines"}  # what a job names it by
_MARKS = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow", b"{": "json_lines"}
_HEAD_BYTES = 4096
_AGAIN = "write it again; a writer that is still at work should write aside and rename"
_DELIMITERS = ",;\t|"


def guess(file: StoredFile) -> str | None:
    """Of the formats in ``SOURCES``; CSV is text whose first line has a delimiter. None where nothing tells."""
    with file.open() as source:
        head: bytes = source.read_at(_HEAD_BYTES, 0)
    marked = next((format for mark, format in _MARKS.items() if head.startswith(mark)), None)
    if marked is not None:
        return marked
    line = head.split(b"\n")[0].decode("latin-1").strip()
    return "csv" if line and all(c.isprintable() or c == "\t" for c in line) and any(d in line for d in _DELIMITERS) else None


def mend(file: StoredFile, *, format: str, otherwise: str = _AGAIN) -> str:
    """What to do with a file that is none of ``format``; ``otherwise``: where it does not seem to be another one."""
    try:
        seems = guess(file)
    except DataError:
        seems = None
    if seems is None or seems == format:
        return otherwise
    return f"its first bytes are those of another format: {SOURCES[seems]}(path=...)"
