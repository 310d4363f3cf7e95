"""A worker's door: the one socket, for all of its life, at which its peers call when a generation forms.

Worker r calls at the doors of all lower ranks and lets the higher ones in. Both sides prove that they know the generation's
secret, without sending it. Who calls for a later generation than the one that forms is kept until that one's turn comes; who
calls for an older one, or does not know the secret, is turned away.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from gdist.errors import PeerLost, Superseded
from gdist.worker.meeting import CANCEL_S, Address, Caller, Meeting

FORM_S = 900.0  # for all to be there: a member may be in a long step, or compiling, while the one who joins waits
EARLY_CALLERS = 64
BUFFER_BYTES = 4 << 20  # of the kernel, each way: with 256 kB a large message takes twice as long
LOOPBACK = "127.0.0.1"

_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))  # a machine that vanished sends no goodbye


def never() -> bool:
    return False


class Door:
    """Listens on ``host``, an address of this machine that the peers reach; ``address`` is what they are told."""

    def __init__(self, host: str = LOOPBACK) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = socket.create_server((host, 0), family=family, backlog=1024)
        self._server.setblocking(False)
        self.address: Address = (host, self._server.getsockname()[1])
        self._early: list[Caller] = []  # for generations to come

    def close(self) -> None:
        self._server.close()
        for caller in self._early:
            caller.stream.close()
        self._early = []

    def meet(
        self,
        doors: Sequence[Address],
        *,
        rank: int,
        generation: int,
        secret: str,
        cancelled: Callable[[], bool] = never,
        deadline_s: float = FORM_S,
    ) -> dict[int, socket.socket]:
        """Connections by rank to all others of ``generation``, whose doors are ``doors``; not blocking, not yet used.

        Raises Superseded once ``cancelled()``, PeerLost where a peer is gone or does not come within ``deadline_s``."""
        meeting = Meeting(doors, rank=rank, generation=generation, secret=secret)
        kept, self._early = self._early, []
        try:
            for caller in kept:
                self._judge(caller, meeting)
            self._wait(meeting, cancelled, time.monotonic() + deadline_s, deadline_s)
        except BaseException as error:
            for stream in meeting.peers.values():
                stream.close()
            if isinstance(error, PeerLost) and cancelled():  # a peer has heard of it first
                raise _superseded(generation) from error
            raise
        finally:
            meeting.drop_unfinished()
        for stream in meeting.peers.values():
            _tune(stream)
        return meeting.peers

    def _wait(self, meeting: Meeting, cancelled: Callable[[], bool], ends: float, deadline_s: float) -> None:
        while missing := meeting.missing():
            now = time.monotonic()
            if cancelled():
                raise _superseded(meeting.generation)
            if now > ends:
                who = ", ".join(map(str, missing))
                raise PeerLost(f"worker {who} did not come within {deadline_s:g} s", where=f"generation {meeting.generation}")
            meeting.call(now)
            meeting.probe()
            poll = select.poll()
            poll.register(self._server, select.POLLIN)
            meeting.register(poll)
            for fd, _ in poll.poll(1000 * min(CANCEL_S, meeting.pause(now))):
                if fd == self._server.fileno():
                    self._let_in(meeting)
                elif (caller := meeting.callers.get(fd)) is not None:
                    if caller.listen():
                        del meeting.callers[fd]
                        self._judge(caller, meeting)
                else:
                    meeting.attend(fd)
            meeting.forget_silent(now)

    def _let_in(self, meeting: Meeting) -> None:
        with suppress(OSError):  # gone again
            stream, _ = self._server.accept()
            stream.setblocking(False)
            meeting.callers[stream.fileno()] = Caller(stream)

    def _judge(self, caller: Caller, meeting: Meeting) -> None:
        """What becomes of a caller who has said all of its hello, or hung up."""
        if caller.generation > meeting.generation:
            self._early.append(caller)
            for dropped in self._early[:-EARLY_CALLERS]:
                dropped.stream.close()
            self._early = self._early[-EARLY_CALLERS:]
        elif not meeting.admit(caller):
            caller.stream.close()


def _superseded(generation: int) -> Superseded:
    return Superseded(f"generation {generation} is not formed: another one takes its place")


def _tune(stream: socket.socket) -> None:
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _KEEPALIVE:
        if hasattr(socket, name):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
