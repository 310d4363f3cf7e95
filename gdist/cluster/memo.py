"""What a controller notes in Ray's own store, so that the one that Ray starts after its death finds the run."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from gdist.cluster.names import NAMESPACE


def _key(run_id: str) -> bytes:
    return f"{run_id}/memo".encode()


def note(run_id: str, content: dict[str, Any]) -> None:
    from ray.experimental import internal_kv

    internal_kv._internal_kv_put(_key(run_id), json.dumps(content).encode(), overwrite=True, namespace=NAMESPACE.encode())


def recall(run_id: str) -> dict[str, Any] | None:
    """None: nothing was noted."""
    from ray.experimental import internal_kv

    content = internal_kv._internal_kv_get(_key(run_id), namespace=NAMESPACE.encode())
    found: dict[str, Any] | None = json.loads(content) if content else None
    return found


def forget(run_id: str) -> None:
    from ray.experimental import internal_kv

    with suppress(Exception):
        internal_kv._internal_kv_del(_key(run_id), namespace=NAMESPACE.encode())
