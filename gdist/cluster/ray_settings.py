"""What gdist asks of Ray through its environment, read when Ray is imported or when its processes start.

RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0   Ray's own switch for "this machine only": every port of an embedded Ray is on loopback
RAY_AUTH_MODE=token                   a cluster answers only who knows its token (~/.ray/auth_token or RAY_AUTH_TOKEN_PATH)
RAY_worker_niceness=0                 workers train at the priority of any other program, not at 15 below it
RAY_NUM_REDIS_GET_RETRIES             how often it tries to reach a cluster, a second apart, before it says that it cannot
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ATTACH_TRIES = "3"
_NETWORK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def token_exists() -> bool:
    """Whether a token is at hand with which to open a cluster."""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or Path(path or "~/.ray/auth_token").expanduser().is_file()


def import_ray(*, loopback: bool, verbose: bool) -> Any:
    """Ray, told to be quiet unless ``verbose``; ``loopback``: to it this machine is 127.0.0.1, nothing listens elsewhere."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", _ATTACH_TRIES)
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ[_NETWORK] = "0" if loopback else "1"
    import ray
    import ray._private.ray_constants as constants

    threading.Thread(target=_import_what_comes_next, name="gdist-imports", daemon=True).start()
    constants.ENABLE_RAY_CLUSTER = not loopback  # the variable is read once, when Ray is imported, maybe by the user's code
    if not verbose:
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        _print_no_errors()
    return ray


def _import_what_comes_next() -> None:
    """What Ray imports at the first call of an actor (0.2 s), while ``ray.init`` waits for its processes."""
    for module in ("pyarrow.json", "pydantic"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def _print_no_errors() -> None:
    """Ray prints the cluster's errors to standard output ("(raylet) A worker died ..."), whatever ``log_to_driver`` says, and
    has no switch for it; gdist says such things itself."""
    import ray._private.worker as worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


@contextlib.contextmanager
def stderr_folded_away() -> Iterator[None]:
    """Swallows what Ray's C++ part writes to descriptor 2 while it tries to reach a cluster: a line for each refusal."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def signal_handlers_kept() -> Iterator[None]:
    """``ray.init`` puts its own handler on SIGTERM; the ones of the command line come back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deaf_to_endings() -> Iterator[None]:
    """Whatever is started meanwhile takes no notice of SIGTERM and SIGHUP. ``timeout``, systemd and Slurm send them to every
    process of a command; a Ray that ended then would leave the run's workers no time for a checkpoint. The mask is inherited;
    a signal for this process is taken afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
