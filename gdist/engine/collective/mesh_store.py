"""The rendezvous store that a process group of torch.distributed wants, kept by the workers themselves.

Each has a connection to each already; what one sets is sent to all. So there is no host of the store whose death or stop
leaves the others hanging (calls of a TCPStore then mind no timeout), no port, and nothing that grows or outlives the forming.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from torch._C._distributed_c10d import Store

from gdist.errors import PeerLost, Superseded

CANCEL_S = 0.05

_HEADER = struct.Struct("<II")  # bytes of the key, bytes of the value


class MeshStore(Store):
    """Over ``peers``, sockets by rank that do not block and carry nothing else meanwhile. Whoever waits here learns at once of
    a peer that is gone (PeerLost) and within 50 ms that the generation is ``cancelled`` (Superseded)."""

    def __init__(self, peers: Mapping[int, socket.socket], *, deadline_s: float, cancelled: Callable[[], bool]) -> None:
        super().__init__()
        self._peers = dict(peers)
        self._deadline_s = deadline_s
        self._cancelled = cancelled
        self._known: dict[str, bytes] = {}
        self._heard = {r: b"" for r in peers}
        self._sealed = False

    def set(self, key: str, value: bytes | str) -> None:
        name, content = key.encode(), value.encode() if isinstance(value, str) else bytes(value)
        self._known[key] = content
        for r in self._peers if not self._sealed else ():
            self._send(r, _HEADER.pack(len(name), len(content)) + name + content)

    def get(self, key: str) -> bytes:
        ends = time.monotonic() + self._deadline_s
        while key not in self._known:
            if self._sealed:
                raise PeerLost(f"nobody has said `{key}` while the process group formed")
            self._hear(ends)
        return self._known[key]

    def wait(self, keys: Iterable[str], timeout: timedelta | None = None) -> None:
        for key in keys:
            self.get(key)

    def check(self, keys: Iterable[str]) -> bool:
        return all(key in self._known for key in keys)

    def delete_key(self, key: str) -> bool:
        return self._known.pop(key, None) is not None

    def seal(self) -> None:
        """The group has formed everywhere; what a backend still says to its store stays here."""
        self._sealed = True

    def _send(self, r: int, message: bytes) -> None:
        ends = time.monotonic() + self._deadline_s
        while message:
            try:
                message = message[self._peers[r].send(message) :]
            except BlockingIOError:
                self._hear(ends, writing=r)
            except OSError as error:
                raise _gone(r) from error

    def _hear(self, ends: float, *, writing: int | None = None) -> None:
        """Takes in what has come, or waits a while for something to come (or for room to write)."""
        if self._cancelled():
            raise Superseded("the process group is not formed: another generation takes its place")
        if time.monotonic() > ends:
            raise PeerLost(f"the workers did not form a process group within {self._deadline_s:g} s")
        poll = select.poll()
        for r, stream in self._peers.items():
            poll.register(stream, select.POLLIN | (select.POLLOUT if r == writing else 0))
        ranks = {stream.fileno(): r for r, stream in self._peers.items()}
        for fd, what in poll.poll(1000 * CANCEL_S):
            if what & ~select.POLLOUT:
                self._take(ranks[fd])

    def _take(self, r: int) -> None:
        try:
            heard = self._peers[r].recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            raise _gone(r) from error
        if not heard:
            raise _gone(r)
        rest = self._heard[r] + heard
        while len(rest) >= _HEADER.size:
            key, value = _HEADER.unpack_from(rest)
            end = _HEADER.size + key + value
            if len(rest) < end:
                break
            self._known[rest[_HEADER.size : _HEADER.size + key].decode()] = rest[_HEADER.size + key : end]
            rest = rest[end:]
        self._heard[r] = rest


def _gone(r: int) -> PeerLost:
    return PeerLost(f"worker {r} left while the process group formed")


def share(store: MeshStore, name: str, content: bytes, *, rank: int, size: int) -> list[Any]:
    """What each worker gave under ``name``, by rank; when it is back, all have come so far."""
    store.set(f"{name}/{rank}", content)
    return [store.get(f"{name}/{r}") for r in range(size)]
