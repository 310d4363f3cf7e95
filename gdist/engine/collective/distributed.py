"""torch.distributed's Gloo (CPU) and NCCL (CUDA), one process group a generation, never the global default group.

The backend object is called directly: the checks of ``torch.distributed.all_reduce`` cost about 20 us a call, and a group
that is nobody's default can be left and formed again without touching what the user's code may have set up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, ProcessGroupGloo, Store

from gdist.engine.collective.collective import DEADLINE_S, Pending
from gdist.errors import PeerLost

PAIR_UP_TO_BYTES = 4 << 20  # two workers swap a message of this size and add, 1.5 to 3 times as fast as Gloo's all-reduce


class _Works:
    """Several transfers as one."""

    def __init__(self, works: Sequence[Any]) -> None:
        self._works = works

    def wait(self) -> None:
        with _as_peer_lost():
            for work in self._works:
                work.wait()


class _Swap:
    """An all-reduce of two: both send, both add; a + b = b + a to the bit."""

    def __init__(self, group: Any, tensor: Tensor, peer: int, tag: int) -> None:
        self._tensor = tensor
        self._received = torch.empty_like(tensor)
        self._works = (group.recv([self._received], peer, tag), group.send([tensor], peer, tag))

    def wait(self) -> None:
        with _as_peer_lost():
            for work in self._works:
                work.wait()
        self._tensor += self._received


class Distributed:
    """Worker ``rank`` of ``size``, joined through ``store`` under a prefix that no other generation has used.

    ``host``: the address of this machine that its peers reach (loopback when all are on one machine), or None to let the
    backend choose (``GLOO_SOCKET_IFNAME``, ``NCCL_SOCKET_IFNAME``). ``deadline_s`` bounds every wait for a peer.
    """

    overlaps = True

    def __init__(
        self,
        store: Store,
        *,
        rank: int,
        size: int,
        generation: int = 1,
        device: str = "cpu",
        host: str | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.rank = rank
        self.size = size
        self._nccl = device != "cpu"
        self._closed = False
        self._tag = 0
        prefixed = PrefixStore(f"gdist/{generation}", store)
        with _as_peer_lost("the workers could not form a process group"):
            if self._nccl:
                self._group = _nccl(prefixed, rank, size, deadline_s)
            else:
                self._group = _gloo(prefixed, rank, size, deadline_s, host)

    def all_reduce(self, tensor: Tensor) -> Pending:
        with _as_peer_lost():
            if self.size == 2 and not self._nccl and tensor.nbytes <= PAIR_UP_TO_BYTES:
                return _Swap(self._group, tensor, 1 - self.rank, self._next_tag())
            return _Works((self._group.allreduce([tensor]),))

    def exchange(self, outgoing: Sequence[Tensor | None], incoming: Sequence[Tensor | None]) -> _Works:
        with _as_peer_lost():
            if self._nccl:  # NCCL wants point-to-point transfers in one group, or they wait for one another
                nothing = torch.empty(0, device=f"cuda:{torch.cuda.current_device()}")
                received = [nothing if t is None else t for t in incoming]
                return _Works((self._group.alltoall(received, [nothing if t is None else t for t in outgoing]),))
            tag = self._next_tag()
            works = [self._group.recv([t], r, tag) for r, t in enumerate(incoming) if t is not None and r != self.rank]
            works += [self._group.send([t], r, tag) for r, t in enumerate(outgoing) if t is not None and r != self.rank]
            return _Works(works)

    def broadcast(self, tensor: Tensor, *, source: int) -> _Works:
        options = dist.BroadcastOptions()
        options.rootRank = source
        options.rootTensor = 0
        with _as_peer_lost():
            return _Works((self._group.broadcast([tensor], options),))

    def _next_tag(self) -> int:
        """Every worker starts the same transfers in the same order, so the counts agree."""
        self._tag = (self._tag + 1) % (1 << 20)
        return self._tag

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._nccl:
            self._group.abort()
        del self._group  # closes Gloo's sockets: a peer that still waits gets an error at once


def _gloo(store: Store, rank: int, size: int, deadline_s: float, host: str | None) -> Any:
    options = ProcessGroupGloo._Options()  # type: ignore[attr-defined]
    device = ProcessGroupGloo.create_device(hostname=host) if host else ProcessGroupGloo.create_default_device()
    options._devices = [device]
    options._timeout = timedelta(seconds=deadline_s)
    return ProcessGroupGloo(store, rank, size, options)


def _nccl(store: Store, rank: int, size: int, deadline_s: float) -> Any:
    options = dist.ProcessGroupNCCL.Options()
    options._timeout = timedelta(seconds=deadline_s)
    return dist.ProcessGroupNCCL(store, rank, size, options)


@contextmanager
def _as_peer_lost(what: str = "a worker of this generation is gone") -> Iterator[None]:
    """Any error of a collective means that the generation is over; its text blames neighbours, so it is only a note."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise PeerLost(what, note=" ".join(str(error).split())[:300]) from error
