"""A file that was found: what it is called, how large it is, which writing of it, and how to open it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from gdist.data.storage.filesystem import Entry
from gdist.data.storage.local import LocalFiles
from gdist.data.storage.place import LOCAL, Place
from gdist.data.storage.remote_file import RemoteFile

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class StoredFile:
    """``shown`` is the file as the user may see it, a path or an URL without credentials; ``path`` is its name inside its
    filesystem, and may hold some. ``size`` in bytes. ``version`` is another one when the file has been written again.
    ``hive`` are the values in the names of the folders between the path that the user gave and the file: ``year=2024``
    is ``{"year": "2024"}``. Pickles, to be opened in another process.
    """

    path: str = field(repr=False)
    shown: str
    size: int
    version: str
    hive: dict[str, str] = field(default_factory=dict, hash=False)
    place: Place = field(default=LOCAL, repr=False)

    def open(self, *, memory_map: bool = False) -> pa.NativeFile:
        """For reading at any offset, by many threads. A local file is pyarrow's own and costs nothing more, mapped into memory
        if so asked; one elsewhere asks again when the network fails it, with a bound.

        Raises DataError that names the file and the cause, also if the file is not the one that was found: by size and time of
        writing on this machine and in object stores, which say so anyway; fsspec is not asked. So do the reads of a file that
        is not local. What is mapped must not be cut short while it is used: the system ends the process that reads there.
        """
        import pyarrow as pa

        found = Entry(self.path, True, self.size, self.version)
        if self.place.is_local:
            return self.place.ask(lambda: LocalFiles().open(found, memory_map=memory_map), shown=self.shown)
        return pa.PythonFile(RemoteFile(self.place, found, shown=self.shown), mode="r")

    def key(self) -> list[Any]:
        """What tells its content from any other file's in the cache of a machine: its whole place, size and version. JSON.

        Where its storage tells no version, it is another key in each process: the file may be written again at any time.
        """
        where = [self.place.scheme, self.place.url, str(self.place.options.get("endpoint_override", "")), self.path]
        return [*where, self.size, self.version or _this_process()]

    def identity(self) -> dict[str, Any]:
        """What tells at resume that the file is still the one that the run began with. JSON."""
        return {"path": self.shown, "size": self.size, "version": self.version}


@cache
def _this_process() -> str:
    return os.urandom(16).hex()
