"""How a run stands, for other terminals; and who of its workers is meant by a word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gdist.cluster.chronicle import Chronicle

if TYPE_CHECKING:
    from gdist.cluster.leading import Leading
    from gdist.cluster.patrol import Patrol

_WORKER = re.compile(r"worker[- ]?(\d+)")
_NODE_LETTERS = 4  # of a node's id, at least


def describe(leading: Leading, chronicle: Chronicle, patrol: Patrol) -> dict[str, Any]:
    """See ``gdist.cluster.reach.Reached.describe``."""
    machine = leading.machine
    workers = []
    for slot, seat in sorted(machine.seats.items()):
        place = patrol.places.get(seat.worker, {})
        known = {name: place.get(name) for name in ("host", "address", "node", "pid")}
        told = {"worker": slot, "incarnation": seat.incarnation, "state": seat.state, "member": seat.worker in machine.members}
        workers.append({**told, **known})
    return {
        "generation": machine.generation,
        "phase": machine.phase,
        "waiting": machine.waiting or None,
        "least": leading.least,
        "most": leading.most,
        "step": max(machine.step, chronicle.written.step),
        "workers": workers,
        "last": chronicle.generation,
        "stepped_at": chronicle.stepped_at,
    }


def meant(who: str, workers: Iterable[dict[str, Any]]) -> list[int]:
    """The slots of those among ``workers`` that are called ``who`` (worker-1) or are on the node ``who``."""
    named = _WORKER.fullmatch(who)
    if named is not None:
        return [each["worker"] for each in workers if each["worker"] == int(named[1])]
    return [each["worker"] for each in workers if _is_on(who, each)]


def nodes_of(who: str, workers: Iterable[dict[str, Any]]) -> list[str]:
    """Ray's ids of the nodes that are called ``who`` (host name, address, beginning of the id)."""
    if _WORKER.fullmatch(who):
        return []
    return sorted({each["node"] for each in workers if each["node"] and _is_on(who, each)})


def _is_on(node: str, worker: dict[str, Any]) -> bool:
    host, identity = str(worker.get("host")), str(worker.get("node"))
    begins = len(node) >= _NODE_LETTERS and identity.startswith(node)
    return begins or node in (host, host.partition(".")[0], worker.get("address"))
