"""A thread that sees at once when a peer's process is gone, while the training thread is blocked in somebody else's code."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

_GOODBYE = b"\x00"


class Watch(threading.Thread):
    """Over ``peers`` (sockets by rank, which carry nothing else). ``lost(rank)`` is called from this thread, at most once, when
    a peer's connection ends without a goodbye."""

    def __init__(self, peers: Mapping[int, socket.socket], *, lost: Callable[[int], None]) -> None:
        super().__init__(name="gdist-peers", daemon=True)
        self._peers = dict(peers)
        self._lost = lost
        self._wake, self._woken = socket.socketpair()

    def run(self) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        ranks = {stream.fileno(): r for r, stream in self._peers.items()}
        for fd in ranks:
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._woken.fileno():
                    return
                if not self._said_goodbye(self._peers[ranks[fd]]):
                    return self._lost(ranks[fd])
                poll.unregister(fd)

    def end(self, *, goodbye: bool) -> None:
        """``goodbye``: this worker leaves with nothing unfinished, so that nobody need be alarmed."""
        if goodbye:
            for stream in self._peers.values():
                with suppress(OSError):  # gone already
                    stream.send(_GOODBYE)
        self._wake.send(b"\x00")
        if threading.current_thread() is not self:
            self.join()
        self._wake.close()
        self._woken.close()

    @staticmethod
    def _said_goodbye(stream: socket.socket) -> bool:
        try:
            return stream.recv(1) == _GOODBYE
        except BlockingIOError:
            return True
        except OSError:
            return False
