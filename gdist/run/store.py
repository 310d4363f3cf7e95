"""Where checkpoints lie: a folder of this machine or an object store. Both hold folders of files that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gdist.durable import sync_folder, whole_file
from gdist.fault_points import fault_point

if TYPE_CHECKING:
    from torch import Tensor

Location = Path | str  # a path, or an URL such as ``s3://bucket/prefix``

_PIECE = 4 << 20


class Stored(NamedTuple):
    """A file: its size in bytes, and when it was written (s since 1970)."""

    bytes: int
    written: float


class Store(Protocol):
    """Methods raise OSError; FileNotFoundError where what is read is not there."""

    def listing(self) -> dict[str, dict[str, Stored]]:
        """Each folder's files."""

    def make(self, folder: str, *, new: bool) -> None:
        """Makes the folder. ``new``: raises FileExistsError where there is one."""

    def write(self, folder: str, file: str, content: Iterable[bytes | memoryview]) -> dict[str, int | str]:
        """Writes it durably, whole or not at all; its ``bytes`` and ``sha256``."""

    def pieces(self, folder: str, file: str) -> Iterator[bytes]:
        """The file's bytes."""

    def tensors(self, folder: str, file: str) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Of a safetensors file, with its metadata. Raises CheckpointError."""

    def remove(self, folder: str, *, first: str) -> None:
        """Deletes the folder, file ``first`` before all others; what is not there is no error."""

    def place(self, folder: str, file: str | None = None) -> str:
        """A path or an URL, as it may be shown."""


class LocalStore:
    """A folder of this machine; it need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def listing(self) -> dict[str, dict[str, Stored]]:
        found: dict[str, dict[str, Stored]] = {}
        try:
            folders = [entry.path for entry in os.scandir(self.root) if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        for folder in folders:
            try:
                files = {entry.name: entry.stat() for entry in os.scandir(folder) if entry.is_file()}
            except FileNotFoundError:
                continue  # removed meanwhile
            found[Path(folder).name] = {name: Stored(status.st_size, status.st_mtime) for name, status in files.items()}
        return found

    def make(self, folder: str, *, new: bool) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self.root))
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / folder).mkdir(exist_ok=not new)
        try:
            sync_folder(self.root)
        except OSError:
            with contextlib.suppress(OSError):
                (self.root / folder).rmdir()  # as far as it is empty
            raise

    def write(self, folder: str, file: str, content: Iterable[bytes | memoryview]) -> dict[str, int | str]:
        digest, size = hashlib.sha256(), 0
        with whole_file(self.root / folder / file, synced=lambda: fault_point("checkpoint_synced")) as out:
            for piece in content:
                digest.update(piece)
                size += len(piece)
                out.write(piece)
            out.flush()
            fault_point("checkpoint_written")
        return {"bytes": size, "sha256": digest.hexdigest()}

    def pieces(self, folder: str, file: str) -> Iterator[bytes]:
        with open(self.root / folder / file, "rb") as source:
            while piece := source.read(_PIECE):
                yield piece

    def tensors(self, folder: str, file: str) -> tuple[dict[str, Tensor], dict[str, str]]:
        from gdist.run.tensors import read_stored

        return read_stored(self.root / folder / file)

    def remove(self, folder: str, *, first: str) -> None:
        path = self.root / folder
        if (path / first).exists():
            (path / first).unlink(missing_ok=True)
            sync_folder(path)
        shutil.rmtree(path, ignore_errors=True)

    def rename(self, folder: str, to: str) -> None:
        os.rename(self.root / folder, self.root / to)
        sync_folder(self.root)

    def place(self, folder: str, file: str | None = None) -> str:
        return str(self.root / folder / file if file else self.root / folder)


def open_store(where: Location) -> Store:
    """Raises DataError for an URL that cannot be."""
    if not is_url(where):
        return LocalStore(Path(where))
    from gdist.run.remote_store import RemoteStore

    return RemoteStore(str(where))


def is_url(where: Location) -> bool:
    return isinstance(where, str) and "://" in where


def below(where: Location, name: str) -> Location:
    """What lies in it by that name. An URL may end in a query: ``?region=eu-west-1``."""
    if not is_url(where):
        return Path(where) / name
    base, mark, query = str(where).partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


def above(path: Location) -> tuple[Location, str]:
    """Where it lies, and its name there."""
    if not is_url(path):
        return Path(path).parent, Path(path).name
    base, mark, query = str(path).partition("?")
    where, _, name = base.rstrip("/").rpartition("/")
    return where + mark + query, name
