"""Every other URL, through fsspec: ``hf://``, ``abfs://``, ``https://``, ``memory://`` and what else is installed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gdist.data.storage.failures import GONE, cause_of
from gdist.data.storage.filesystem import Entry, Filesystem
from gdist.data.storage.secrets import shown_url
from gdist.errors import DataError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_VERSIONS = (  # the first that is told
    "ETag", "etag", "blob_id", "sha256", "sha", "mtime", "LastModified", "Last-Modified", "last_modified", "modificationTime",
    "created",
)  # fmt: skip


class FsspecFiles(Filesystem):
    def __init__(self, filesystem: AbstractFileSystem) -> None:
        self.filesystem = filesystem

    def info(self, path: str) -> Entry | None:
        try:
            return _entry(self.filesystem.info(path))
        except FileNotFoundError as error:
            if cause_of(error) is GONE:
                return None
            raise  # it could not be asked

    def entries(self, folder: str, *, recursive: bool) -> list[Entry]:
        try:
            if recursive:
                found = list(self.filesystem.find(folder, withdirs=True, detail=True).values())
            else:
                found = self.filesystem.ls(folder, detail=True)
        except FileNotFoundError:
            return []
        return [self._listed(info) for info in found if str(info["name"]).rstrip("/") != folder]

    def _listed(self, info: Mapping[str, Any]) -> Entry:
        """A web server's list has names only."""
        known = info["type"] == "directory" or info.get("size") is not None
        return _entry(info if known else self.filesystem.info(info["name"]))

    def open(self, found: Entry) -> _Ranges:
        return _Ranges(self.filesystem, found.path)


class _Ranges:
    """Each read is one request for just that range, and knows of no other: threads need no lock, and nothing is read ahead."""

    def __init__(self, filesystem: AbstractFileSystem, path: str) -> None:
        self.filesystem = filesystem
        self.path = path

    def read_at(self, nbytes: int, offset: int) -> bytes:
        read: bytes = self.filesystem.cat_file(self.path, start=offset, end=offset + nbytes)
        if len(read) > nbytes:
            raise NotImplementedError("the server answers with the whole file where a part was asked for")
        return read


def open_fsspec(url: str, options: Mapping[str, Any]) -> tuple[FsspecFiles, str]:
    """The filesystem, and the path in it. Raises DataError where no installed package reads such an URL."""
    import fsspec

    scheme = re.split(r"::|://", url, maxsplit=1)[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except ImportError:
        wrong = DataError(f"what reads {scheme}:// is not installed", where=shown_url(url), help=_package(scheme))
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise
        close = difflib.get_close_matches(scheme, ["s3", "gs", *fsspec.available_protocols()], n=1)
        help = f"did you mean `{close[0]}://`?" if close else None
        wrong = DataError(f"no storage is known by {scheme}://", where=shown_url(url), help=help)
    else:
        return FsspecFiles(filesystem), str(path).rstrip("/") or "/"
    raise wrong


def _package(scheme: str) -> str:
    from fsspec.registry import known_implementations

    about: dict[str, str] = known_implementations.get(scheme, {})
    told = re.match(r"Install (\S+) to", about.get("err", ""))
    package = told[1] if told else about.get("class", scheme).partition(".")[0]
    return about.get("err", "") if package == "fsspec" else f"pip install {package}"


def _entry(info: Mapping[str, Any]) -> Entry:
    is_file = info["type"] != "directory"
    size = info.get("size")
    if is_file and size is None:
        raise DataError(
            "the server does not say how large the file is", where=shown_url(str(info["name"])), help="copy it first"
        )
    version = next((str(info[key]) for key in _VERSIONS if info.get(key) is not None), "")
    return Entry(str(info["name"]).rstrip("/"), is_file, int(size or 0), version)
