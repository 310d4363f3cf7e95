"""Which files a path means: a file, a folder, a glob, or a list of them, in one order on every machine."""

from __future__ import annotations

import difflib
import glob
from pathlib import Path

from gdist.errors import DataError


def find_files(path: str | Path | tuple[str | Path, ...], *, suffixes: tuple[str, ...]) -> list[Path]:
    """The files, sorted within each path given. In a folder (searched to its depth) and a glob that ends in no suffix,
    those with one of ``suffixes``; names that start with ``_`` or ``.`` are skipped, as writers leave marks so named.

    Raises DataError for a path that does not exist (with the nearest name) or holds no such file.
    """
    paths = path if isinstance(path, tuple) else (path,)
    if not paths:
        raise DataError("the list of data files is empty", help="name at least one file")
    found = [file for one in paths for file in _files_of(Path(one).expanduser(), suffixes)]
    twice = next((file for i, file in enumerate(found) if file in found[:i]), None) if len(paths) > 1 else None
    if twice is not None:
        raise DataError("a data file is named twice: its rows would count double", where=str(twice))
    return found


def _files_of(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        files = [file for file in path.rglob("*") if _is_data(file.relative_to(path)) and file.suffix in suffixes]
    elif glob.has_magic(str(path)):
        files = [file for file in map(Path, glob.glob(str(path), recursive=True)) if not file.name.startswith(("_", "."))]
    else:
        raise DataError("no such data file or folder", where=_seen_from(path), help=_nearest(path))
    files = sorted(file for file in files if file.is_file())
    if not files:
        raise DataError(f"no {' or '.join(suffixes)} file matches the data's path", where=_seen_from(path))
    return files


def _is_data(relative: Path) -> bool:
    return not any(part.startswith(("_", ".")) for part in relative.parts)


def _seen_from(path: Path) -> str:
    return str(path) if path.is_absolute() else f"{path} (in {Path.cwd()})"


def _nearest(path: Path) -> str | None:
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist"
    names = [entry.name for entry in folder.iterdir()]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean `{folder / close[0]}`?" if close else None
