"""Forming a process group of torch.distributed in bounded time, and breaking it from outside.

What may block in foreign code happens in a side thread, which is left to itself once a peer is gone or the generation is not
wanted any more.

Gloo cannot be aborted, but its sockets can be shut down: whoever waits for them then has an error within milliseconds. They
are found by comparing the process's sockets before and after with what the peers find: both ends must have appeared.
"""

from __future__ import annotations

import json
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import ProcessGroupGloo

from gdist.engine.collective.mesh_store import CANCEL_S, MeshStore, share
from gdist.errors import PeerLost, Superseded

END_S = 0.1
GROUP_S = 60.0  # for workers that are all there to form a group

Endpoint = tuple[str, int, str, int]  # own address, the peer's


@dataclass
class Group:
    """A process group; ``sockets``: its own, by a second descriptor each (numbers are reused, connections are not)."""

    backend: Any
    sockets: list[socket.socket] = field(default_factory=list)
    store: Any = None  # kept where the backend needs it for as long as it lives

    def cut(self) -> None:
        """Ends its connections: who is blocked in one of its calls, here or at a peer, has an error at once."""
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        backend, self.backend = [self.backend], None
        # its end waits for what is under way: that has failed by now, but for a message that was half received (``finish``)
        thread = threading.Thread(target=backend.clear, name="gdist-end", daemon=True)
        thread.start()
        thread.join(END_S)
        for each in self.sockets:
            each.close()
        self.sockets, self.store = [], None


def form_group(
    peers: Mapping[int, socket.socket],
    *,
    rank: int,
    device: str,
    host: str | None,
    deadline_s: float,
    cancelled: Callable[[], bool],
    form_s: float = GROUP_S,
) -> Group:
    """A group of the workers that ``peers`` joins; arguments as of ``Distributed``. Raises PeerLost, or Superseded once
    ``cancelled()``; the connections are then closed."""
    found: list[Group] = []
    failed: list[BaseException] = []
    left_to_itself, ended = threading.Event(), threading.Event()

    def tidy() -> None:
        for each in found:
            each.close()
        for stream in peers.values():
            stream.close()

    def form() -> None:
        try:
            store = MeshStore(peers, deadline_s=form_s, cancelled=cancelled)
            found.append(_form(store, rank, len(peers) + 1, device, host, form_s, deadline_s))
        except BaseException as error:
            failed.append(error)
        ended.set()
        if left_to_itself.is_set():
            tidy()

    thread = threading.Thread(target=form, name="gdist-form", daemon=True)
    ends = time.monotonic() + form_s
    thread.start()
    try:
        _wait_for(thread, peers, cancelled, ends)
        if failed:
            if isinstance(failed[0], PeerLost):
                raise failed[0]
            text = " ".join(str(failed[0]).split())[:300]
            raise PeerLost("the workers could not form a process group", note=text) from failed[0]
    except PeerLost:
        for stream in peers.values():
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        left_to_itself.set()
        if ended.is_set():
            tidy()
        raise
    return found[0]


def _wait_for(thread: threading.Thread, peers: Mapping[int, socket.socket], cancelled: Callable[[], bool], ends: float) -> None:
    poll = select.poll()
    ranks = {stream.fileno(): r for r, stream in peers.items()}
    for fd in ranks:
        poll.register(fd, select.POLLRDHUP)
    while thread.is_alive():
        thread.join(CANCEL_S)
        if not thread.is_alive():
            return
        if cancelled():
            raise Superseded("the process group is not formed: another generation takes its place")
        if gone := poll.poll(0):
            raise PeerLost(f"worker {ranks[gone[0][0]]} left while the process group formed")
        if time.monotonic() > ends:
            raise PeerLost("the workers did not form a process group in time")


def _form(store: MeshStore, rank: int, size: int, device: str, host: str | None, form_s: float, deadline_s: float) -> Group:
    before = set(_connections())
    if device != "cpu":
        backend = _nccl(store, rank, size, deadline_s)
        share(store, "formed", b"", rank=rank, size=size)
        store.seal()
        return Group(backend, store=store)
    backend = _gloo(store, rank, size, form_s, host)
    mine = {inode: end for inode, end in _connections().items() if inode not in before}
    said = share(store, "formed", json.dumps(list(mine.values())).encode(), rank=rank, size=size)
    store.seal()
    others = {(e[2], e[3], e[0], e[1]) for r, each in enumerate(said) if r != rank for e in json.loads(each)}
    backend._set_default_timeout(timedelta(seconds=deadline_s))
    return Group(backend, _duplicates({inode for inode, end in mine.items() if end in others}))


def _gloo(store: Any, rank: int, size: int, form_s: float, host: str | None) -> Any:
    options = ProcessGroupGloo._Options()  # type: ignore[attr-defined]
    device = ProcessGroupGloo.create_device(hostname=host) if host else ProcessGroupGloo.create_default_device()
    options._devices = [device]
    options._timeout = timedelta(seconds=form_s)
    return ProcessGroupGloo(store, rank, size, options)


def _nccl(store: Any, rank: int, size: int, deadline_s: float) -> Any:
    """The first collective makes the connections, so it belongs to the forming. Errors are ours to handle: left to itself the
    backend's own watchdog ends the process."""
    os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0")
    options = dist.ProcessGroupNCCL.Options()
    options._timeout = timedelta(seconds=deadline_s)
    backend: Any = dist.ProcessGroupNCCL(store, rank, size, options)
    backend.allreduce([torch.ones(1, device=f"cuda:{torch.cuda.current_device()}")]).wait()
    torch.cuda.current_stream().synchronize()
    return backend


def _connections() -> dict[int, Endpoint]:
    """The process's TCP connections, by the number that the kernel gave each."""
    found: dict[int, Endpoint] = {}
    for inode, fd in _sockets().items():
        with suppress(OSError), socket.socket(fileno=os.dup(fd)) as copy:
            if copy.family in (socket.AF_INET, socket.AF_INET6):
                own, peer = copy.getsockname(), copy.getpeername()
                found[inode] = (own[0], own[1], peer[0], peer[1])
    return found


def _duplicates(wanted: set[int]) -> list[socket.socket]:
    found = []
    for inode, fd in _sockets().items():
        if inode in wanted:
            with suppress(OSError):
                copy = socket.socket(fileno=os.dup(fd))
                if os.fstat(copy.fileno()).st_ino == inode:
                    found.append(copy)
                else:
                    copy.close()
    return found


def _sockets() -> dict[int, int]:
    """Descriptors of this process's sockets, by inode."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                found[status.st_ino] = int(name)
    return found
