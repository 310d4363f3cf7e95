"""Files made once from their sources (tokens, vocabularies, statistics, indexes), shared by all processes of a machine.

An entry is one file, ``NAME-FINGERPRINT.cached``, in ``$GDIST_CACHE`` or else ``~/.cache/gdist``. Invariant: an entry is
whole or absent. One process writes it, aside and under a lock that ends with the process; the others wait for it. The
entries not used for the longest go when all together exceed ``$GDIST_CACHE_BYTES`` (20 GiB); who maps one keeps it.

Disks fail, and people edit files: what is read is checked first, and made again where it is not what was written. A small
entry (``kept``) is its content's SHA-256, then the content, and need not be kept where there is no room for it; a large one
(``cached``) brings its own check.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from gdist.durable import sync_file, sync_folder
from gdist.errors import DataError

DEFAULT_BYTES = 20 << 30
DEADLINE_S = 3600.0  # the longest that a process waits while another one writes
_SPARED_S = 600.0  # an entry used so recently stays: whoever asked for it may not have opened it yet
_POLL_S = 0.02
_ENTRY = ".cached"
_SUM_BYTES = 32
_ASIDE = ".aside"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


Entry = TypeVar("Entry")


class _NoRoom(Exception):
    """The cache takes no file. ``error``: as the user is told."""

    def __init__(self, error: DataError) -> None:
        super().__init__(error.what)
        self.error = error


def cached(
    name: str,
    fingerprint: str,
    write: Callable[[Path], None],
    read: Callable[[Path], Entry | None],
    *,
    deadline_s: float = DEADLINE_S,
) -> Entry:
    """What ``read(path)`` finds in the file that ``write(path)`` makes, made now if it is not there, by one of all processes
    that ask for it.

    ``fingerprint``: a hash of all that the content depends on. ``write`` gets a path where there is no file yet; what it
    raises is raised here, in the process that wrote. ``read`` looks whether the file is as it was written: None, or an
    OSError, if it is not. Who maps the file keeps it; else one that was not used for ten minutes may go.
    Raises DataError where the folder cannot be written to, the disk is full, or another process is not done in time.
    """
    try:
        return _entry(name, fingerprint, write, read, deadline_s)
    except _NoRoom as found:
        raise found.error from found.__cause__


def kept(name: str, fingerprint: str, make: Callable[[], bytes], *, deadline_s: float = DEADLINE_S) -> bytes:
    """What ``make`` makes, or made before: a small content, read whole.

    Where the cache takes no file, it is made each time. Raises what ``make`` raises, and DataError where another process is
    not done in time.
    """
    made: list[bytes] = []

    def write(path: Path) -> None:
        made[:] = [make()]
        path.write_bytes(hashlib.sha256(made[0]).digest() + made[0])

    try:
        return _entry(name, fingerprint, write, _content, deadline_s)
    except _NoRoom:
        return made[0] if made else make()


def look_up(name: str, fingerprint: str) -> bytes | None:
    """The content that was kept, if it is there and whole; for what one process cannot make by itself."""
    return _found(_path(name, fingerprint), _content)


def cache_folder() -> Path:
    """``$GDIST_CACHE``, or ``gdist`` in the user's cache folder (``$XDG_CACHE_HOME``, ``~/.cache``)."""
    named = os.environ.get("GDIST_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gdist"


def _path(name: str, fingerprint: str) -> Path:
    return cache_folder() / f"{name}-{fingerprint}{_ENTRY}"


def _entry(
    name: str, fingerprint: str, write: Callable[[Path], None], read: Callable[[Path], Entry | None], deadline_s: float
) -> Entry:
    folder, path = cache_folder(), _path(name, fingerprint)
    found = _found(path, read)
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(path, deadline_s) as locked:
            found = _found(path, read)
            if found is not None:
                return found
            if locked:  # whoever wrote here before was killed
                _remove(folder.glob(f".{path.name}.*{_ASIDE}"))
            _write(path, write)
            found = _found(path, read)
        _make_room(folder, keep=path)
    except OSError as error:
        explained = _explained(error, folder)
        if explained is None:
            raise
        raise _NoRoom(explained) from error
    if found is None:
        what, help = "a file of the cache cannot be read as it was written", "is the disk sound? Set GDIST_CACHE to another one"
        raise _NoRoom(DataError(what, where=str(path), help=help))
    return found


def _found(path: Path, read: Callable[[Path], Entry | None]) -> Entry | None:
    """None where there is no file, or not a whole one."""
    try:
        return read(path) if _is_there(path) else None
    except OSError:  # removed meanwhile, or not ours to read
        return None


def _content(path: Path) -> bytes | None:
    """Of an entry of ``kept``."""
    stored = path.read_bytes()
    content = stored[_SUM_BYTES:]
    return content if hashlib.sha256(content).digest() == stored[:_SUM_BYTES] else None


def _is_there(path: Path) -> bool:
    """Whether the entry exists; if so, it was used now (by its time of change: many disks keep no time of access)."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # another user's: it can be read all the same
        return path.exists()
    return True


def _write(path: Path, write: Callable[[Path], None]) -> None:
    aside = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}{_ASIDE}")
    try:
        write(aside)
        sync_file(aside)
        os.replace(aside, path)
    except BaseException:
        _remove([aside])
        raise
    sync_folder(path.parent)


@contextmanager
def _lock(path: Path, deadline_s: float) -> Iterator[bool]:
    """Holds the entry's lock; False where the file system has none, so that two may write it, each aside."""
    lock = path.with_name(f".{path.name}.lock")
    until = time.monotonic() + deadline_s
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(handle, lock):
                break
            os.close(handle)  # its holder was done and removed it
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "another process"
            os.close(handle)
            if time.monotonic() > until:
                raise DataError(
                    f"{holder} has been writing a file of the cache for more than {deadline_s:.0f} s",
                    where=str(path),
                    help="wait for it, or end it, and start again",
                ) from None
            time.sleep(_POLL_S)
        except OSError:
            os.close(handle)
            yield False
            return
    try:
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield True
    finally:
        _remove([lock])
        os.close(handle)


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _make_room(folder: Path, *, keep: Path) -> None:
    """Removes entries, the least recently used first, until the rest fits the bound."""
    entries = []
    for entry in folder.glob(f"*{_ENTRY}"):
        with suppress(OSError):  # somebody else made room
            entries.append((entry.stat().st_mtime, entry.stat().st_size, entry))
    too_much = sum(size for _, size, _ in entries) - _bound()
    for used, size, entry in sorted(entries):
        if too_much <= 0 or time.time() - used < _SPARED_S:
            return
        if entry != keep:
            _remove([entry])
            too_much -= size


def _bound() -> int:
    given = os.environ.get("GDIST_CACHE_BYTES") or str(DEFAULT_BYTES)
    if not given.isdecimal():
        raise DataError(
            f"GDIST_CACHE_BYTES is {given!r}", help=f"it is a whole number of bytes, such as {DEFAULT_BYTES} for 20 GiB"
        )
    return int(given)


def _remove(paths: Iterator[Path] | list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _explained(error: OSError, folder: Path) -> DataError | None:
    """The error of a folder that takes no file; None for another file's error."""
    if error.filename is not None:
        file = Path(os.fsdecode(error.filename))
        if not file.is_relative_to(folder) and not folder.is_relative_to(file):
            return None
    if error.errno in _FULL:
        what = "the disk of the cache is full"
    elif error.errno in _REFUSED:
        what = "cannot write to the folder of the cache"
    else:
        return None
    help = "set GDIST_CACHE to a folder that has room and can be written to"
    return DataError(what, where=str(folder), note=error.strerror, help=help)
