"""What a controller notes in Ray's own store, so that the one that Ray starts after its death finds the run."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from gdist.cluster.names import NAMESPACE

PATIENCE_S = 5.0
_pool = ThreadPoolExecutor(1, "gdist-memo")  # one after another: the newest is the one that stays
_pending: list[Future[None]] = []


def _key(run_id: str) -> bytes:
    return f"{run_id}/memo".encode()


def note(run_id: str, content: dict[str, Any]) -> None:
    """Is there when this returns, unless Ray's store has not answered for ``PATIENCE_S``: its gcs_server has died, then, and a
    call to it would hold everything up for a minute, until Ray ends this process."""
    stuck = any(not each.done() for each in _pending)
    _pending[:] = [*(each for each in _pending if not each.done()), _pool.submit(_put, run_id, json.dumps(content).encode())]
    if not stuck:
        wait(_pending, timeout=PATIENCE_S)


def _put(run_id: str, content: bytes) -> None:
    from ray.experimental import internal_kv

    internal_kv._internal_kv_put(_key(run_id), content, overwrite=True, namespace=NAMESPACE.encode())


def recall(run_id: str) -> dict[str, Any] | None:
    """None: nothing was noted."""
    from ray.experimental import internal_kv

    content = internal_kv._internal_kv_get(_key(run_id), namespace=NAMESPACE.encode())
    found: dict[str, Any] | None = json.loads(content) if content else None
    return found


def forget(run_id: str) -> None:
    from ray.experimental import internal_kv

    if any(not each.done() for each in _pending):
        return
    with suppress(Exception):
        internal_kv._internal_kv_del(_key(run_id), namespace=NAMESPACE.encode())
