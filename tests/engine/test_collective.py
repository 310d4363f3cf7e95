"""What any carrier of the workers' bytes must do, alike over sockets and over Gloo."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
import torch

from gdist.engine.collective import Collective, Sockets
from gdist.errors import PeerLost, ReplicasDiffer
from tests.ranks import run_ranks

CARRIERS = ("sockets", "gloo")


def _sums(collective: Collective, elements: int, dtype: torch.dtype) -> torch.Tensor:
    mine = torch.randn(elements, generator=torch.Generator().manual_seed(collective.rank), dtype=torch.float64).to(dtype)
    collective.all_reduce(mine).wait()
    return mine


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("elements", [1, 1000, 1_500_000])
def test_all_reduce_sums_to_the_same_bits_on_all(carrier: str, size: int, elements: int) -> None:
    found = run_ranks(_sums, size, elements, torch.float32, carrier=carrier)
    generators = [torch.Generator().manual_seed(r) for r in range(size)]
    expected = sum(torch.randn(elements, generator=g, dtype=torch.float64).float().double() for g in generators)
    assert all(torch.equal(each, found[0]) for each in found)
    torch.testing.assert_close(found[0].double(), expected, rtol=1e-5, atol=1e-5)


def _exchanged(collective: Collective) -> list[list[int]]:
    rank, size = collective.rank, collective.size
    outgoing = [torch.full((r + 1,), 10 * rank + r) if r != rank and (rank + r) % 2 else None for r in range(size)]
    incoming = [torch.zeros(rank + 1, dtype=torch.int64) if r != rank and (rank + r) % 2 else None for r in range(size)]
    collective.exchange(outgoing, incoming).wait()
    copied = torch.tensor([rank])
    collective.broadcast(copied, source=size - 1).wait()
    return [t.tolist() for t in (*incoming, copied) if t is not None]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_exchange_and_broadcast_move_what_they_are_given(carrier: str) -> None:
    found = run_ranks(_exchanged, 3, carrier=carrier)
    assert found == [[[10], [2]], [[1, 1], [21, 21], [2]], [[12, 12, 12], [2]]]


def _abandoned(collective: Collective) -> Any:
    collective.all_reduce(torch.ones(1)).wait()  # all are there
    if collective.rank == 1:
        collective.close()
        return None
    begun = time.monotonic()
    try:
        for _ in range(3):
            collective.all_reduce(torch.ones(100)).wait()
    except PeerLost as error:
        return time.monotonic() - begun, error.what
    return None


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_peer_that_leaves_frees_whoever_waits(carrier: str) -> None:
    for answer in (run_ranks(_abandoned, 3, carrier=carrier))[::2]:
        assert answer is not None
        assert answer[0] < 5
        assert answer[1] == "a worker of this generation is gone"


def _out_of_step(collective: Collective) -> str | None:
    try:
        if collective.rank == 0:
            collective.all_reduce(torch.ones(100)).wait()
            collective.all_reduce(torch.ones(50)).wait()
        else:
            collective.all_reduce(torch.ones(50)).wait()
            collective.all_reduce(torch.ones(100)).wait()
    except (ReplicasDiffer, PeerLost) as error:
        return type(error).__name__
    return None


def test_another_collective_than_the_peers_is_noticed_at_once() -> None:
    assert "ReplicasDiffer" in run_ranks(_out_of_step, 2)


def test_a_silent_peer_is_named_when_the_deadline_is_over() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        with pytest.raises(PeerLost, match=r"worker 1 did not answer for 0.5 s"):
            Sockets({1: ours}, rank=0, deadline_s=0.5).all_reduce(torch.ones(3))
