"""A Ray of our own for one run: on this machine, on loopback, without dashboard, gone when the run is over, however it ends.

Its processes are bound to the driver by the kernel (Ray sets PR_SET_PDEATHSIG on Linux) and by a reaper (reaper.py). The signal
comes when the *thread* that started them ends, so an embedded Ray belongs on a thread that outlives the run.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from gdist.cluster import reaper
from gdist.cluster.names import NAMESPACE
from gdist.cluster.ray_settings import deaf_to_endings, import_ray, signal_handlers_kept
from gdist.errors import RunFailed

OBJECT_STORE_BYTES = 100 << 20  # nothing of a run goes through it
GONE_S = 3.0
_SERVERS = ("raylet", "gcs_server")


class EmbeddedRay:
    """``close`` returns when its last process is gone."""

    embedded = True

    def __init__(self, *, verbose: bool = False) -> None:
        before = set(reaper.children(os.getpid()))
        with deaf_to_endings():
            self._reaper = subprocess.Popen(
                [sys.executable, "-I", "-S", reaper.__file__, str(os.getpid())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        before.add(self._reaper.pid)
        try:
            ray = import_ray(loopback=True, verbose=verbose)
            with deaf_to_endings(), signal_handlers_kept(), contextlib.nullcontext() if verbose else _without_helpers():
                context = ray.init(
                    address="local",
                    namespace=NAMESPACE,
                    include_dashboard=False,
                    log_to_driver=verbose,
                    configure_logging=verbose,
                    object_store_memory=OBJECT_STORE_BYTES,
                )
        except BaseException as error:
            self._kill(set(reaper.children(os.getpid())) - before)
            self._stop_reaper()
            if not isinstance(error, Exception):
                raise
            raise RunFailed(
                "Ray could not be started on this machine",
                note=f"{type(error).__name__}: {error}"[:1000],
                help="see /tmp/ray/session_latest/logs, or train without it: --local",
            ) from error
        self.ray: Any = ray
        self.address = str(context.address_info["gcs_address"])
        self._roots = set(reaper.children(os.getpid())) - before
        self._servers = {pid: (_name(pid), reaper.birth(pid)) for pid in self._roots if _name(pid) in _SERVERS}

    def lost(self) -> str | None:
        """Which of Ray's servers has died."""
        return next((name for pid, (name, born) in self._servers.items() if reaper.birth(pid) != born), None)

    def close(self) -> None:
        """Ends Ray in this process, then whatever of it is left. Ray's own way to stop its helpers takes 1.4 s; they have
        nothing to save."""
        family = self._family(self._roots)
        for pid in family:
            if _name(pid) not in _SERVERS:
                _kill(pid)
        self._end_without_asking()
        leaving = threading.Thread(target=self._leave, daemon=True)  # without its servers it may take for ever
        leaving.start()
        leaving.join(GONE_S if self.lost() else None)
        self._kill(self._roots, family)
        self._stop_reaper()

    def _leave(self) -> None:
        with contextlib.suppress(Exception):
            self.ray.shutdown()

    def _end_without_asking(self) -> None:
        """Ray asks its servers by SIGTERM to end, and waits a second for each; they are deaf to it."""
        node = getattr(self.ray._private.worker, "_global_node", None)
        for processes in (getattr(node, "all_processes", None) or {}).values():
            for each in processes:
                each.process.terminate = each.process.kill

    def _kill(self, roots: set[int], known: dict[int, str] | None = None) -> None:
        family = (known or {}) | self._family(roots)
        deadline = time.monotonic() + GONE_S
        while time.monotonic() < deadline:
            left = [pid for pid, born in family.items() if reaper.birth(pid) == born]
            if not left:
                return
            for pid in left:
                _kill(pid)
            time.sleep(0.005)

    @staticmethod
    def _family(roots: set[int]) -> dict[int, str]:
        pids = {pid for root in roots for pid in (root, *reaper.descendants(root))}
        return {pid: born for pid in pids if (born := reaper.birth(pid)) is not None}

    def _stop_reaper(self) -> None:
        self._reaper.kill()
        self._reaper.wait()


@contextlib.contextmanager
def _without_helpers() -> Iterator[None]:
    """``ray.init`` without three processes that no run has a use for: the autoscaler's monitor, the reader of log files, and
    the dashboard's server, which is started (and waited for) even where no dashboard is wanted. They take 1.6 s of processor
    time, all of it before the first step. Ray's parameters have the first two, its ``init`` just does not pass them on."""
    from ray._private import node, parameter

    of_node: Any = node.Node
    of_module: Any = parameter
    kept = of_module.RayParams, of_node.start_api_server
    known = inspect.signature(kept[0].__init__).parameters
    off = {"no_monitor": True, "include_log_monitor": False}
    of_module.RayParams = functools.partial(kept[0], **{name: value for name, value in off.items() if name in known})
    of_node.start_api_server = lambda *_, **__: None
    try:
        yield
    finally:
        of_module.RayParams, of_node.start_api_server = kept


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""
