"""The error for a path where nothing is: what is missing, and which name is the nearest to it."""

from __future__ import annotations

import difflib

from gdist.data.storage.place import Place
from gdist.errors import DataError


def missing(place: Place, path: str) -> DataError:
    """Goes up to the first folder that exists, and looks there for a name like the one that does not."""
    try:
        folder, gone = _last_there(place, path)
        help = _nearest(place, folder, gone)
    except DataError:
        gone, help = path, None  # names may be kept from who may read what they name
    bucket = place.has_buckets and "/" not in gone
    note = f"the folder {place.shown(gone)} does not exist" if gone != path and not bucket else None
    if bucket:
        help = help or "check its name, and the region, endpoint and credentials (of the environment, or in `storage`)"
    return DataError(
        "no such bucket" if bucket else "no such data file or folder", where=place.seen(path), note=note, help=help
    )


def _last_there(place: Place, path: str) -> tuple[str | None, str]:
    """The folder that exists, and what is missing in it. An URL as a path, as of a web server, has no folders."""
    folder = None if "://" in path else _parent(path)
    while folder and place.info(folder) is None:
        path, folder = folder, _parent(folder)
    return folder, path


def _parent(path: str) -> str | None:
    """The folder that holds ``path``; "" is the one that holds the buckets; None above it."""
    above, slash, name = path.rpartition("/")
    return ("/" if slash and not above else above) if name else None


def _nearest(place: Place, folder: str | None, gone: str) -> str | None:
    if folder is None:
        return None
    names = {entry.path.rpartition("/")[2]: entry.path for entry in place.entries(folder, recursive=False)}
    close = difflib.get_close_matches(gone.rpartition("/")[2], sorted(names), n=1)
    return f"did you mean `{place.shown(names[close[0]])}`?" if close else None
