"""Which carrier joins the workers of a generation: nothing for one, sockets on one host, Gloo over hosts, NCCL for GPUs."""

from __future__ import annotations

import socket
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


def host_store(address: str = LOOPBACK) -> Any:
    """A rendezvous store on this machine that listens on ``address`` alone (left to itself it listens on all); ``.port``."""
    listening = socket.create_server((address, 0))
    port = listening.getsockname()[1]
    return TCPStore(
        address, port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=STORE_DEADLINE_S),
        master_listen_fd=listening.detach(),
    )  # fmt: skip


def reach_store(host: str, port: int) -> Any:
    return TCPStore(host, port, is_master=False, timeout=timedelta(seconds=STORE_DEADLINE_S))
