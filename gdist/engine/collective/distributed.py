"""torch.distributed's Gloo (CPU) and NCCL (CUDA), one process group a generation, never the global default group.

The backend object is called directly: the checks of ``torch.distributed.all_reduce`` cost about 20 us a call, and a group
that is nobody's default can be left and formed again without touching what the user's code may have set up.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gdist.engine.collective.collective import DEADLINE_S, Pending
from gdist.engine.collective.group import GROUP_S, form_group
from gdist.engine.collective.watch import Watch
from gdist.errors import PeerLost

_LOOK_EVERY = timedelta(milliseconds=50)
ABORT_S = 10.0  # for NCCL to let go of the device; a process that cannot is replaced
PAIR_UP_TO_BYTES = 4 << 20  # two workers swap a message of this size and add, 1.5 to 3 times as fast as Gloo's all-reduce


class _Work:
    """A transfer under way; ``then`` is what is left to do when it is done."""

    def __init__(self, owner: Distributed, work: Any, then: Callable[[], object] | None = None) -> None:
        self._owner = owner
        self._work = work
        self._then = then
        owner.under_way += 1

    def wait(self) -> None:
        with self._owner.using(), self._owner.waiting:
            self._owner.finish(self._work)
        self._owner.under_way -= 1
        if self._then is not None:
            self._then()


class Distributed:
    """Worker ``rank``, joined to its ``peers`` by sockets that do not block and carry nothing else.

    ``host``: the address of this machine that its peers reach, or None to let the backend choose (``GLOO_SOCKET_IFNAME``,
    ``NCCL_SOCKET_IFNAME``). ``deadline_s`` bounds every wait for a peer, during which ``waiting`` is entered; ``form_s`` and
    ``cancelled`` bound the forming. Raises PeerLost where the group does not form.
    """

    overlaps = True

    def __init__(
        self,
        peers: Mapping[int, socket.socket],
        *,
        rank: int,
        slots: Sequence[int] = (),
        device: str = "cpu",
        host: str | None = None,
        deadline_s: float = DEADLINE_S,
        form_s: float = GROUP_S,
        waiting: AbstractContextManager[object] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.rank = rank
        self.size = len(peers) + 1
        self.slots = slots or range(self.size)
        self.waiting = waiting or nullcontext()
        self.under_way = 0  # transfers that were started and not waited for
        self._nccl = device != "cpu"
        self._lost: int | None = None
        self._broken = False
        self._closing = threading.Lock()
        self._peers = dict(peers)
        self._formed = form_group(
            peers, rank=rank, device=device, host=host, deadline_s=deadline_s, form_s=form_s, cancelled=cancelled
        )
        self._group = self._formed.backend
        self._watch: Watch | None = Watch(peers, lost=self._free)
        self._watch.start()

    def all_reduce(self, tensor: Tensor) -> Pending:
        with self.using() as group:
            if self.size == 2 and not self._nccl and tensor.nbytes <= PAIR_UP_TO_BYTES:
                received = torch.empty_like(tensor)
                work, _ = self._swap(group, [tensor] * 2, [received] * 2)
                return _Work(self, work, then=lambda: tensor.add_(received))  # a + b = b + a to the bit
            return _Work(self, group.allreduce([tensor]))

    def exchange(self, outgoing: Sequence[Tensor | None], incoming: Sequence[Tensor | None]) -> _Work:
        with self.using() as group:
            if self._nccl:
                nothing = torch.empty(0, device=f"cuda:{torch.cuda.current_device()}")
                received = [nothing if t is None else t for t in incoming]
                return _Work(self, group.alltoall(received, [nothing if t is None else t for t in outgoing]))
            return _Work(self, *self._swap(group, outgoing, incoming))

    def broadcast(self, tensor: Tensor, *, source: int) -> _Work:
        options = dist.BroadcastOptions()
        options.rootRank = source
        options.rootTensor = 0
        with self.using() as group:
            return _Work(self, group.broadcast([tensor], options))

    def _swap(
        self, group: Any, outgoing: Sequence[Tensor | None], incoming: Sequence[Tensor | None]
    ) -> tuple[Any, Callable[[], None] | None]:
        """Gloo's all-to-all of bytes. Its point-to-point transfers are no faster, and cannot be left alone: see ``finish``."""
        out, into = self._parts(outgoing), self._parts(incoming)
        sizes = [part.numel() for part in into]
        one = next((part for part in into if part.numel() == sum(sizes)), None)  # it can be received where it belongs
        whole = torch.empty(sum(sizes), dtype=torch.uint8) if one is None else one
        full = next((part for part in out if part.numel()), out[0])
        sent = full if sum(map(len, out)) == len(full) else torch.cat(out)
        work = group.alltoall_base(whole, sent, sizes, list(map(len, out)), dist.AllToAllOptions())

        def distribute() -> None:
            for part, piece in zip(into, torch.split(whole, sizes), strict=True):
                part.copy_(piece)

        return work, distribute if one is None else None

    def _parts(self, tensors: Sequence[Tensor | None]) -> list[Tensor]:
        """The tensors' bytes, by rank."""
        nothing = torch.empty(0, dtype=torch.uint8)
        return [
            nothing if t is None or r == self.rank else t.detach().view(-1).view(torch.uint8) for r, t in enumerate(tensors)
        ]

    def finish(self, work: Any) -> None:
        """Waits for ``work``. Not for ever in Gloo's hands: who has received half of a message when its sender dies is told
        nothing (only posted receives are failed), and would wait for the whole deadline. NCCL's own wait only orders the
        device's work: the host waits here, and sees whether an abort has ended it."""
        if self._nccl:
            work.wait()
            torch.cuda.current_stream().synchronize()
        while not self._nccl:
            try:
                work.wait(_LOOK_EVERY)
                return
            except RuntimeError as error:
                if self._lost is not None or self._watch is None or "Operation timed out" not in str(error):
                    raise
        if self._lost is not None or self._watch is None:
            raise RuntimeError("the group was aborted")

    @contextmanager
    def using(self) -> Iterator[Any]:
        """The backend. Any error of it means that the generation is over; its text blames neighbours, so it is only a note."""
        try:
            if self._group is None:
                raise RuntimeError("the generation was left")
            yield self._group
        except (RuntimeError, ValueError) as error:
            self._broken = True
            note = " ".join(str(error).split())[:300]
            if self._lost is not None:
                note = f"worker {self._lost} closed its connection ({note})"
            raise PeerLost("a worker of this generation is gone", note=note) from error

    def close(self) -> None:
        with self._closing:
            watch, self._watch = self._watch, None
        if watch is None:
            return
        watch.end(goodbye=not self._broken and not self.under_way)
        if self._nccl:
            self._abort()
        self._formed.cut()
        self._group = None
        self._formed.close()
        for stream in self._peers.values():
            stream.close()

    def _free(self, rank: int) -> None:
        """A peer is gone: whoever is blocked in the group gets an error now."""
        self._lost = rank
        self._broken = True
        if self._nccl:
            self._abort()
        self._formed.cut()

    def _abort(self) -> None:
        """NCCL's abort may itself block, and with it every later use of the device: then this process is of no more use."""
        thread = threading.Thread(target=self._formed.backend.abort, name="gdist-abort", daemon=True)
        thread.start()
        thread.join(ABORT_S)
        if thread.is_alive():
            print(f"NCCL could not be aborted within {ABORT_S:g} s: this process ends", file=sys.stderr, flush=True)  # noqa: T201
            os.kill(os.getpid(), signal.SIGKILL)
