"""Which format files have: by their endings, or by the first bytes of a file that has another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.data.formats.file_set import FORMATS, suffixes
from gdist.data.formats.guess import guess
from gdist.errors import DataError

if TYPE_CHECKING:
    from gdist.data.storage import StoredFile

TEXT = ".txt"


def find(path: str | Path | tuple[str | Path, ...], *, storage: dict[str, Any] | None = None) -> list[StoredFile]:
    """Files of all known formats, those of text too."""
    from gdist.data.storage import find_files

    known = tuple(suffix for format in FORMATS for suffix in suffixes(format))
    return find_files(path, suffixes=(*known, TEXT), options=storage)


def format_of(files: Sequence[StoredFile]) -> str:
    """One of ``FORMATS``, or ``text``. Raises DataError for files of several formats."""
    found = Counter(_by_name(file) or guess(file) or "csv" for file in files)
    if len(found) > 1:
        listed = ", ".join(f"{count} of {format.replace('_', ' ')}" for format, count in found.most_common())
        help = f"name those of one, such as a glob, or say --format {found.most_common()[0][0]}"
        raise DataError(f"files of {len(found)} formats: {listed}", where=_listed(files), help=help)
    return next(iter(found))


def _by_name(file: StoredFile) -> str | None:
    name = file.path.lower()
    if name.endswith(TEXT):
        return "text"
    return next((format for format in FORMATS if name.endswith(suffixes(format))), None)


def _listed(files: Sequence[StoredFile]) -> str:
    return ", ".join(file.shown for file in files[:3]) + (" ..." if len(files) > 3 else "")
