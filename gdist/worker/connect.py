"""Which carrier joins the workers of a generation: nothing for one, sockets on one host, Gloo over hosts, NCCL for GPUs."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from gdist.engine.collective import Alone, Collective, Distributed, Sockets
from gdist.fault_points import fault_point
from gdist.records import Membership
from gdist.worker.door import FORM_S, Door, never


def connect(
    door: Door,
    membership: Membership,
    *,
    device: str,
    cancelled: Callable[[], bool] = never,
    waiting: AbstractContextManager[object] | None = None,
    deadline_s: float = FORM_S,
) -> Collective:
    """Joins the workers of ``membership``, each of which does the same. ``waiting`` is entered while a collective waits for a
    peer. Raises Superseded within 50 ms once ``cancelled()``, PeerLost where a peer is gone or does not come within
    ``deadline_s``."""
    fault_point("form_begin", generation=membership.generation)
    if membership.size == 1:
        return Alone()
    with waiting or nullcontext():
        peers = door.meet(
            membership.doors, rank=membership.rank, generation=membership.generation, secret=membership.secret,
            cancelled=cancelled, deadline_s=deadline_s,
        )  # fmt: skip
    collective: Collective | None = None
    try:
        fault_point("form_connected", generation=membership.generation)
        slots = [slot for slot, _ in membership.workers]
        if device == "cpu" and membership.one_host:
            collective = Sockets(peers, rank=membership.rank, slots=slots, waiting=waiting)
        else:
            host = None if os.environ.get("GLOO_SOCKET_IFNAME") else door.address[0]
            collective = Distributed(
                peers, rank=membership.rank, slots=slots, device=device, host=host, waiting=waiting, cancelled=cancelled
            )
        fault_point("group_formed", generation=membership.generation)
    except BaseException:  # the peers are free at once
        if collective is not None:
            collective.close()
        for stream in peers.values():
            stream.close()
        raise
    return collective
