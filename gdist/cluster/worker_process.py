"""A worker's process, made ready before torch is imported: its folder, its output, its priority, its last notice."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from gdist.cluster.death import start_time
from gdist.cluster.output import capture_output, pipe_path
from gdist.cluster.scratch import enter_scratch


def facts_of_process() -> dict[str, Any]:
    """What whoever watches this process has to know: pid, start_time, host, node (Ray's id), address (of the node)."""
    import ray

    address: Any = ray.util.get_node_ip_address
    node = str(ray.get_runtime_context().get_node_id())
    pid = os.getpid()
    return {
        "pid": pid,
        "start_time": start_time(pid),
        "host": socket.gethostname(),
        "node": node,
        "address": str(address()),
    }


def set_up_process(run_id: str, slot: int, incarnation: int, folder: str, threads: int) -> int:
    """``folder``: where the user's command ran; ``threads`` of torch's kernels. Returns the descriptor that holds the run's
    scratch folder."""
    if os.path.isdir(folder):
        os.chdir(folder)
    if folder not in sys.path:
        sys.path.append(folder)
    scratch, lock = enter_scratch(run_id)
    capture_output(pipe_path(scratch, slot, incarnation))
    with contextlib.suppress(OSError):  # an ordinary user may not
        os.setpriority(os.PRIO_PROCESS, 0, 0)  # Ray puts workers 15 below any other program
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported
    return lock


def on_termination(act: Callable[[], None]) -> None:
    """From now on SIGTERM ends nothing: ``act`` is called, on a thread of its own, even if the main thread is in C."""
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # blocked where Ray was started by gdist

    def listen() -> None:
        while numbers := heard.recv(16):
            if signal.SIGTERM in numbers:
                act()

    threading.Thread(target=listen, name="gdist-termination", daemon=True).start()
    _KEPT.append(told)


_KEPT: list[socket.socket] = []
