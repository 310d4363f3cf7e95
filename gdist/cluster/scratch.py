"""A run's folder on each node, for what lives only as long as the run: the workers' pages and the pipes of their output.

Whoever works in it holds a shared lock on it, so that one that nobody holds belongs to a run that was killed and is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from gdist.errors import RunFailed

ABANDONED_AFTER_S = 60.0  # younger ones may be just about to be locked


def scratch_path(run_id: str) -> Path:
    """Where the run's folder is, on every node: /tmp/gdist-UID/RUN_ID."""
    return Path(tempfile.gettempdir(), f"gdist-{os.getuid()}", run_id)


def enter_scratch(run_id: str) -> tuple[Path, int]:
    """Makes the folder if need be and locks it; returns it and the descriptor that keeps the lock."""
    path = scratch_path(run_id)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.parent.stat(follow_symlinks=False).st_uid != os.getuid():
        raise RunFailed(
            "the folder for scratch files belongs to another user", where=str(path.parent), help="remove it, or set TMPDIR"
        )
    path.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return path, handle


def remove_scratch(run_id: str) -> None:
    shutil.rmtree(scratch_path(run_id), ignore_errors=True)


def remove_abandoned() -> list[str]:
    """Removes the folders of runs that no process works in any more; returns their run ids."""
    removed = []
    for path in scratch_path("x").parent.glob("*"):
        try:
            if time.time() - path.stat().st_mtime < ABANDONED_AFTER_S:
                continue
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path.name)
        except OSError:
            pass
        finally:
            os.close(handle)
    return removed
