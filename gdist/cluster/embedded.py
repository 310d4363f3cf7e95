"""A Ray of our own for one run: on this machine, on loopback, without dashboard, gone when the run is over.

Its processes are bound to this one by the kernel (Ray sets PR_SET_PDEATHSIG on Linux), so a SIGKILL of the driver ends them;
that signal comes when the *thread* that started them ends, so ``start`` belongs on a thread that outlives the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from gdist.cluster.names import NAMESPACE
from gdist.cluster.ray_settings import import_ray, signal_handlers_kept
from gdist.errors import RunFailed

OBJECT_STORE_BYTES = 100 << 20  # nothing of a run goes through it
GONE_S = 3.0


class EmbeddedRay:
    """``close`` returns when its last process is gone."""

    embedded = True

    def __init__(self, *, verbose: bool = False) -> None:
        ray = import_ray(loopback=True, verbose=verbose)
        before = set(_children(os.getpid()))
        try:
            with signal_handlers_kept():
                context = ray.init(
                    address="local",
                    namespace=NAMESPACE,
                    include_dashboard=False,
                    log_to_driver=verbose,
                    configure_logging=verbose,
                    object_store_memory=OBJECT_STORE_BYTES,
                )
        except Exception as error:
            raise RunFailed(
                "Ray could not be started on this machine",
                note=f"{type(error).__name__}: {error}",
                help="see /tmp/ray/session_latest/logs, or train without it: --local",
            ) from error
        self.ray: Any = ray
        self.address = str(context.address_info["gcs_address"])
        self._roots = set(_children(os.getpid())) - before

    def close(self) -> None:
        """Ends Ray in this process, then whatever of it is still there. Ray's own way to stop its helpers takes 1.4 s; they
        have nothing to save."""
        family = {pid: _birth(pid) for root in self._roots for pid in (root, *_descendants(root))}
        for pid in family:
            if _name(pid) not in ("raylet", "gcs_server"):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            self.ray.shutdown()
        for pid, born in family.items():
            if born is not None and _birth(pid) == born:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + GONE_S
        while any(born is not None and _birth(pid) == born for pid, born in family.items()) and time.monotonic() < deadline:
            time.sleep(0.005)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def _descendants(pid: int) -> list[int]:
    return [deeper for child in _children(pid) for deeper in (child, *_descendants(child))]


def _birth(pid: int) -> str | None:
    """The process's start time; None if it is gone or only waits to be collected."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return stat[19] if stat[0] not in "ZX" else None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
