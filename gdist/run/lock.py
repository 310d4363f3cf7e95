"""One process writes a run at a time: it holds a lock on the file ``lock`` in the run's folder, which ends with the process,
however that ends."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from gdist.errors import UsageError

LOCK = "lock"


def hold(folder: Path) -> int:
    """The descriptor that holds the run; closing it lets go. Raises UsageError that names who holds it already."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode(errors="replace")
        os.close(handle)
        raise UsageError(
            f"run `{folder.resolve().name}` is being trained right now",
            where=str(folder),
            note=f"by {holder or 'another process'}",
            help="wait for its end, or end it with Ctrl-C where it was started",
        ) from None
    except OSError:
        return handle  # a file system without locks: nothing can be said
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return handle


def holder(folder: Path) -> str | None:
    """Who writes the run right now, as words; None: nobody does."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(handle, 200, 0).decode(errors="replace") or "another process"
    except OSError:
        return "another process"  # a file system without locks: nothing can be said
    finally:
        os.close(handle)
    return None
