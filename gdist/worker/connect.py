"""Which carrier joins the workers of a generation: nothing for one, sockets on one host, Gloo over hosts, NCCL for GPUs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from torch._C._distributed_c10d import Store, TCPStore

from gdist.engine.collective import Alone, Collective, Distributed, Sockets

LOOPBACK = "127.0.0.1"
STORE_DEADLINE_S = 60.0


def connect(store: Store | None, *, rank: int, size: int, generation: int, device: str, one_host: bool) -> Collective:
    """Joins worker ``rank`` of ``size``. Raises PeerLost where the others do not come."""
    if size == 1:
        return Alone()
    assert store is not None, "several workers meet at a store"
    if device == "cpu" and one_host:
        return Sockets(store, rank=rank, size=size, generation=generation, host=LOOPBACK)
    host = LOOPBACK if one_host else None
    return Distributed(store, rank=rank, size=size, generation=generation, device=device, host=host)


def host_store() -> Any:
    """A rendezvous store on this machine; ``.port`` is where."""
    return TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=STORE_DEADLINE_S))


def reach_store(host: str, port: int) -> Any:
    return TCPStore(host, port, is_master=False, timeout=timedelta(seconds=STORE_DEADLINE_S))
