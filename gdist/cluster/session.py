"""Which Ray a run uses: the cluster that is named, the one this process is connected to already, or one of its own."""

from __future__ import annotations

import os
import sys
from typing import Any, Protocol

from gdist.cluster.attach import AttachedRay
from gdist.cluster.embedded import EmbeddedRay


class Session(Protocol):
    """A connection to Ray for the length of a run."""

    ray: Any
    address: str
    embedded: bool

    def lost(self) -> str | None: ...

    def close(self) -> None: ...


def open_session(address: str | None, *, verbose: bool) -> Session:
    """``address``: as on the command line; RAY_ADDRESS counts as well."""
    address = address or os.environ.get("RAY_ADDRESS")
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return AttachedRay(ray.get_runtime_context().gcs_address, verbose=verbose)
    return AttachedRay(address, verbose=verbose) if address else EmbeddedRay(verbose=verbose)
