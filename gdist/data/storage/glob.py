"""Globs on any storage: ``*``, ``?`` and ``[...]`` within a name, ``**`` for any number of folders.

Folders are listed one level at a time as far as names match, so that a glob reads no more of a bucket than it has to.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

from gdist.data.storage.filesystem import Entry
from gdist.data.storage.place import Place

_MAGIC = re.compile(r"[*?[]")


def has_magic(path: str) -> bool:
    """The ``?`` before the query of an URL is none."""
    return _MAGIC.search(path.partition("?")[0] if "://" in path else path) is not None


def is_hidden(name: str) -> bool:
    return name.startswith(("_", "."))


def matches(place: Place, pattern: str) -> tuple[str, list[Entry]]:
    """The folder above the first name that is a pattern, and what matches in it: files and folders."""
    parts = pattern.split("/")
    fixed = next(i for i, part in enumerate(parts) if has_magic(part))
    folder = "/".join(parts[:fixed])
    return folder, list(_matches(place, folder, parts[fixed:]))


def _matches(place: Place, folder: str, parts: list[str]) -> Iterator[Entry]:
    first, *rest = parts
    if first == "**":
        for entry in place.entries(folder or "/", recursive=True):
            names = entry.path[len(folder) :].strip("/").split("/")
            if _fit(names, parts) and (entry.is_file or parts[-1] != "**"):
                yield entry
    elif has_magic(first):
        for entry in place.entries(folder or "/", recursive=False):
            if _fits(entry.path.rpartition("/")[2], first):
                if not rest:
                    yield entry
                elif not entry.is_file:
                    yield from _matches(place, entry.path, rest)
    elif rest:
        yield from _matches(place, f"{folder}/{first}", rest)
    elif (only := place.info(f"{folder}/{first}")) is not None:
        yield only


def _fit(names: list[str], parts: list[str]) -> bool:
    if not parts or not names:
        return not names and all(part == "**" for part in parts)
    if parts[0] == "**":
        return _fit(names, parts[1:]) or (not is_hidden(names[0]) and _fit(names[1:], parts))
    return _fits(names[0], parts[0]) and _fit(names[1:], parts[1:])


def _fits(name: str, part: str) -> bool:
    """A pattern matches no hidden name unless it starts with that very character."""
    return fnmatch.fnmatchcase(name, part) and (not is_hidden(name) or part[0] == name[0])
