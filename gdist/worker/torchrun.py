"""What torchrun tells its processes, and how they find one another: through its store once, and never again."""

from __future__ import annotations

import json
import os
import secrets
import socket
from datetime import timedelta
from typing import Any

from torch._C._distributed_c10d import PrefixStore, TCPStore

from gdist.errors import PeerLost
from gdist.records import Membership
from gdist.worker.door import LOOPBACK
from gdist.worker.meeting import Address

STORE_S = 60.0  # for the other processes to start


def own_host() -> str:
    """The address of this machine at which the other processes reach this one."""
    if _one_host() or "MASTER_ADDR" not in os.environ:
        return LOOPBACK
    family, _, _, _, address = socket.getaddrinfo(os.environ["MASTER_ADDR"], 1, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as route:
        route.connect(address)  # sends nothing, but chooses the way
        return str(route.getsockname()[0])


def first_membership(door: Address | None, *, rank: int, size: int) -> Membership:
    """The generation of all processes that torchrun has started. Raises PeerLost where not all come."""
    if size == 1:
        return Membership(generation=1, rank=0, size=1)
    try:
        # a restarted group finds the same store: what the one before it has left there must not be read
        store = PrefixStore(f"gdist/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", _store(rank, size))
        if rank == 0:
            store.set("secret", secrets.token_hex(16))
        store.set(f"door/{rank}", json.dumps(door))
        doors = [json.loads(store.get(f"door/{r}")) for r in range(size)]
        secret = store.get("secret").decode()
        if store.add("read", 1) == size:
            store.set("all read", "")
        if rank == 0:  # it may host the store, for the others
            store.get("all read")
    except RuntimeError as error:
        raise PeerLost(
            f"not all {size} processes have come to torchrun's store within {STORE_S:g} s", note=str(error)
        ) from error
    return Membership(generation=1, rank=rank, size=size, doors=tuple(map(tuple, doors)), secret=secret, one_host=_one_host())


def _one_host() -> bool:
    return os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE")


def _store(rank: int, size: int) -> Any:
    """torchrun's agent hosts a store; its address is in the environment."""
    agent_hosts = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        size,
        rank == 0 and not agent_hosts,
        timedelta(seconds=STORE_S),
    )
