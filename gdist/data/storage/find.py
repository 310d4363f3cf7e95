"""Which files a path means: a file, a folder, a glob, or a list of them, in one order on every machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from gdist.data.storage.filesystem import Entry
from gdist.data.storage.glob import has_magic, is_hidden, matches
from gdist.data.storage.missing import missing
from gdist.data.storage.place import Place, locate
from gdist.data.storage.stored_file import StoredFile
from gdist.errors import DataError


def find_files(
    path: str | Path | tuple[str | Path, ...] | list[str | Path],
    *,
    suffixes: tuple[str, ...],
    options: dict[str, Any] | None = None,
) -> list[StoredFile]:
    """The files, sorted within each path given, name by name from the top folder down.

    A path is a file, whatever its suffix; a folder, searched to its depth for files with one of ``suffixes``; or a glob, which
    stands for all that it matches: files (with one of ``suffixes`` if the glob ends in none) and folders, searched as if named.
    Names that start with ``_`` or ``.`` are skipped, as writers leave marks so named, unless a glob spells that out.

    A path may be an URL. ``options`` are for its storage: pyarrow's for ``s3://`` and ``gs://``, which take the environment's
    credentials if none are given, and fsspec's for all others. Any storage takes ``attempts`` and ``deadline_s``: how often,
    and for how many seconds, it is asked again when the network fails.

    Raises DataError for a path that does not exist (with the nearest name), holds no such file, may not be read or cannot be
    reached, and for a file that is named twice.
    """
    paths = path if isinstance(path, (tuple, list)) else (path,)
    if not paths:
        raise DataError("the list of data files is empty", help="name at least one file")
    found = [file for one in paths for file in _files_of(one, suffixes, dict(options or {}))]
    _refuse_twice(found)
    return [each.file for each in found]


class _Found(NamedTuple):
    file: StoredFile
    node: tuple[int, int] | None


def _files_of(given: str | Path, suffixes: tuple[str, ...], options: dict[str, Any]) -> list[_Found]:
    place, path = locate(given, options)
    entry = place.info(path)
    if entry is not None and entry.is_file:
        return [_found(place, entry, root=path.rpartition("/")[0])]
    if entry is not None:
        root = path
        files = _searched(place, path, suffixes)
    elif has_magic(path):
        root, matched = matches(place, path)
        any_suffix = bool(Path(path).suffix)
        files = {entry.path: entry for entry in matched if entry.is_file and (any_suffix or _ends(entry, suffixes))}
        for folder in (entry.path for entry in matched if not entry.is_file):
            files |= _searched(place, folder, suffixes)
    else:
        raise missing(place, path)
    if not files and root and place.info(root) is None:
        raise missing(place, root)
    if not files:
        raise DataError(f"no {' or '.join(suffixes)} file matches the data's path", where=place.seen(path))
    return [_found(place, files[name], root=root) for name in sorted(files, key=lambda name: name.split("/"))]


def _searched(place: Place, folder: str, suffixes: tuple[str, ...]) -> dict[str, Entry]:
    """The data files in a folder, to its depth, by path."""
    entries = place.entries(folder, recursive=True)
    return {entry.path: entry for entry in entries if entry.is_file and _ends(entry, suffixes) and not _is_mark(entry, folder)}


def _ends(entry: Entry, suffixes: tuple[str, ...]) -> bool:
    return entry.path.lower().endswith(suffixes)


def _is_mark(entry: Entry, folder: str) -> bool:
    return any(map(is_hidden, _below(folder, entry.path)))


def _below(folder: str, path: str) -> list[str]:
    """The names on the way from ``folder`` down to ``path``."""
    return path[len(folder) :].strip("/").split("/")


def _found(place: Place, entry: Entry, *, root: str) -> _Found:
    pairs = (name.split("=", 1) for name in _below(root, entry.path)[:-1] if "=" in name.lstrip("="))
    hive = {unquote(key): unquote(value) for key, value in pairs}
    file = StoredFile(entry.path, place.shown(entry.path), entry.size, entry.version, hive, place)
    return _Found(file, entry.node)


def _refuse_twice(found: Iterable[_Found]) -> None:
    """Two paths, or a link beside the file that it links to. A hard link is a file of its own."""
    seen: dict[object, StoredFile] = {}
    for file, node in found:
        first = seen.setdefault(node or (file.place.prefix, file.path), file)
        if first is not file and (node is None or os.path.realpath(first.path) == os.path.realpath(file.path)):
            note = f"the first time as {first.shown}" if first.shown != file.shown else None
            raise DataError("a data file is named twice: its rows would count double", where=file.shown, note=note)
