"""The error for a path where nothing is: what is missing, and which name is the nearest to it."""

from __future__ import annotations

import difflib

from gdist.data.storage.place import Place
from gdist.errors import DataError


def missing(place: Place, path: str) -> DataError:
    """Goes up to the first folder that exists, and looks there for a name like the one that does not."""
    gone = path
    folder = _parent(gone)
    while folder is not None and _there(place, folder) is False:
        gone, folder = folder, _parent(folder)
    bucket = place.has_buckets and "/" not in gone
    what = "no such bucket" if bucket else "no such data file or folder"
    note = f"the folder {place.shown(gone)} does not exist" if gone != path and "/" in gone else None
    return DataError(what, where=place.seen(path), note=note, help=_nearest(place, folder, gone))


def _parent(path: str) -> str | None:
    """The folder that holds ``path``; "" is the one that holds the buckets; None above it."""
    above, slash, name = path.rpartition("/")
    return ("/" if slash and not above else above) if name else None


def _there(place: Place, folder: str) -> bool:
    return folder == "" or place.info(folder) is not None


def _nearest(place: Place, folder: str | None, gone: str) -> str | None:
    if folder is None:
        return None
    try:
        names = {entry.path.rpartition("/")[2]: entry.path for entry in place.entries(folder, recursive=False)}
    except DataError:
        return None  # names may be kept from who may read what they name
    close = difflib.get_close_matches(gone.rpartition("/")[2], names, n=1)
    return f"did you mean `{place.shown(names[close[0]])}`?" if close else None
