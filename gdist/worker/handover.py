"""The same state on all workers of a generation, before its first step: whoever is behind receives it from one who is not.

A roll call first: how far is each, with which bits? Those who are level with the most advanced receive nothing, so that a
worker that leaves, or a crash at a step's beginning, costs the others one small message. The others are dealt out to those
who are level, and receive all in fresh memory, in few large messages; they take it over once it is whole. A provider that
dies on the way leaves a survivor's state as it was. Afterwards all compare what they have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from gdist.engine.collective import Collective
from gdist.engine.collective.share import share_bytes
from gdist.engine.fingerprint import fingerprint
from gdist.engine.replica import Replica, load_weights
from gdist.errors import ReplicasDiffer, RunFailed
from gdist.fault_points import fault_point
from gdist.worker.messages import Files, move, specs_of


class Holder(Protocol):
    """A worker's state. ``place``: how far it is; None where it has none. ``agreed``: the others once had the same at that
    place, so that bits which differ are a fault, not chance at a run's beginning."""

    agreed: bool

    @property
    def place(self) -> tuple[int, int] | None: ...
    def tensors(self) -> tuple[Files, dict[str, Any]]:
        """Tensors by file and name, and the JSON that belongs to them."""

    def load_tensors(self, files: Files, state: Mapping[str, Any]) -> None: ...
    def facts(self) -> dict[str, Any]:
        """What else is equal on all workers, as JSON."""

    def aside(self) -> dict[str, Any]:
        """What travels along and need not be equal."""

    def load_facts(self, facts: dict[str, Any], aside: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class _Row:
    """What a worker says in the roll call; ``bits``, ``facts``: hashes; the former also of the JSON that belongs to them."""

    place: tuple[int, int] | None
    bits: str = ""
    facts: str = ""
    agreed: bool = False

    def same_as(self, other: _Row) -> bool:
        return (self.place, self.bits, self.facts) == (other.place, other.bits, other.facts)


class Weights:
    """A holder of weights alone, for those who only use them."""

    place = (0, 0)

    def __init__(self, replica: Replica) -> None:
        self._weights = replica.weights()
        self.agreed = False

    def tensors(self) -> tuple[Files, dict[str, Any]]:
        return {"model": self._weights}, {}

    def load_tensors(self, files: Files, state: Mapping[str, Any]) -> None:
        load_weights(self._weights, files["model"])

    def facts(self) -> dict[str, Any]:
        return {}

    def aside(self) -> dict[str, Any]:
        return {}

    def load_facts(self, facts: dict[str, Any], aside: dict[str, Any]) -> None:
        pass


def level(collective: Collective, holder: Holder, *, source: int | None = None, device: torch.device | None = None) -> bool:
    """All workers call it. ``source``: the rank that counts among those who are equally far. Returns whether this worker has
    taken over another's state.

    Raises PeerLost, ReplicasDiffer, and RunFailed where nobody has any state."""
    taken = _level(collective, holder, source, device)
    holder.agreed = True
    return taken


def _level(collective: Collective, holder: Holder, source: int | None, device: torch.device | None) -> bool:
    rank = collective.rank
    if collective.size == 1 and holder.place is not None:
        return False
    own = _row(holder)
    rows = _roll(collective, own, device)
    furthest = max((row.place for row in rows if row.place is not None), default=None)
    if furthest is None:
        raise RunFailed("no worker of the generation has any state to go on from", help="gdist resume RUN")
    equal = [r for r, row in enumerate(rows) if row.place == furthest]
    lead = rows[source if source in equal else equal[0]]
    _require_alike(rows, [r for r in equal if rows[r].agreed and lead.agreed], lead, collective.slots)
    level_with = [r for r in equal if rows[r].same_as(lead)]
    behind = [r for r in range(len(rows)) if r not in level_with]
    if not behind:
        return False
    short = [r for r in behind if rows[r].place is None or rows[r].bits != lead.bits]
    provider = {r: level_with[i % len(level_with)] for i, r in enumerate(behind)}
    takers = [r for r in behind if provider[r] == rank]

    message = _describe(holder) if takers else b""
    header = _receive(collective, {r: message for r in takers}, provider.get(rank), device)
    if short:
        files: Files = holder.tensors()[0] if rank not in short else {}
        specs = header["tensors"] if rank in short and header else specs_of(files)
        to = [r for r in takers if r in short]
        received = move(collective, files, specs, to=to, of=provider[rank] if rank in short else None, device=device)
        if rank in short:
            assert header is not None, "who is short has a provider"
            fault_point("handover_received")
            holder.load_tensors(received, header["state"])
    if header is not None:
        holder.load_facts(header["facts"], header["aside"])
    after = _roll(collective, _row(holder) if rank in behind else own, device)
    _require_alike(after, range(len(after)), lead, collective.slots)
    return header is not None


def _row(holder: Holder) -> _Row:
    place = holder.place
    if place is None:
        return _Row(None)
    files, state = holder.tensors()
    specs = specs_of(files)
    bits = fingerprint(files[file][name] for file, name, *_ in specs)
    return _Row(place, f"{bits:016x} {_hash([state, specs])}", _hash(holder.facts()), holder.agreed)


def _roll(collective: Collective, own: _Row, device: torch.device | None) -> list[_Row]:
    said = share_bytes(collective, json.dumps([own.place, own.bits, own.facts, own.agreed]).encode(), device=device)
    rows = [json.loads(each) for each in said]
    return [_Row(tuple(place) if place is not None else None, *rest) for place, *rest in rows]


def _require_alike(rows: Sequence[_Row], among: Sequence[int], lead: _Row, slots: Sequence[int]) -> None:
    odd = [slots[r] for r in among if rows[r].bits != lead.bits]
    if odd:
        raise ReplicasDiffer(
            f"the state of worker {', '.join(map(str, odd))} is not the same bits as the others'",
            where=f"found as a generation began at step {lead.place[0] if lead.place else 0}",
            note="a changed bit in memory, or code that changes weights on one worker only",
            help="go on from the last checkpoint with gdist resume",
        )


def _describe(holder: Holder) -> bytes:
    files, state = holder.tensors()
    said = {"tensors": specs_of(files), "state": state, "facts": holder.facts(), "aside": holder.aside()}
    return json.dumps(said).encode()


def _receive(
    collective: Collective, outgoing: Mapping[int, bytes], of: int | None, device: torch.device | None
) -> dict[str, Any] | None:
    """Sends bytes to some workers, and receives some from worker ``of``, as JSON."""
    size, rank = collective.size, collective.rank
    lengths = [torch.tensor([len(outgoing[r])], device=device) if r in outgoing else None for r in range(size)]
    length = torch.zeros(1, dtype=torch.int64, device=device)
    collective.exchange(lengths, [length if r == of else None for r in range(size)]).wait()
    content = torch.empty(int(length), dtype=torch.uint8, device=device)
    bodies = [
        torch.frombuffer(bytearray(outgoing[r]), dtype=torch.uint8).to(device) if r in outgoing and r != rank else None
        for r in range(size)
    ]
    collective.exchange(bodies, [content if r == of else None for r in range(size)]).wait()
    return json.loads(content.cpu().numpy().tobytes()) if of is not None else None


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
