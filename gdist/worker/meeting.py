"""How one generation's workers find one another: calls at the doors of the lower ranks, callers of the higher ranks.

Both sides prove that they know the generation's secret, without sending it: a keyed hash over who speaks to whom.
"""

from __future__ import annotations

import errno
import hmac
import os
import select
import socket
import struct
import time
from collections.abc import Sequence

from gdist.errors import PeerLost

GONE_S = 1.0  # how long a peer may refuse before it counts as gone
HELLO_S = 5.0  # for a caller's first words
CANCEL_S = 0.05  # how late it may be noticed that a generation is not wanted any more

_HELLO = struct.Struct("<8sQII32s")  # magic, generation, who speaks, to whom, proof
_MAGIC = b"gdist\x00\x01\x00"
_RETRY_S = (0.005, 0.1)  # the first pause, the longest

Address = tuple[str, int]


class Caller:
    """Somebody at the door. ``generation`` 0: it said nothing that makes sense."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.since = time.monotonic()
        self.said = b""
        self.generation = 0

    def listen(self) -> bool:
        """Hears what has come; whether there is nothing more to wait for."""
        try:
            heard = self.stream.recv(_HELLO.size - len(self.said))
        except BlockingIOError:
            return False
        except OSError:
            heard = b""
        self.said += heard
        if heard and len(self.said) < _HELLO.size:
            return False
        if len(self.said) == _HELLO.size and self.said.startswith(_MAGIC):
            self.generation = _HELLO.unpack(self.said)[1]
        return True


class _Call:
    """The call at a lower rank's door, tried again while the peer may still come."""

    def __init__(self, address: Address, hello: bytes) -> None:
        self.address = address
        self.hello = hello
        self.stream: socket.socket | None = None
        self.said = False
        self.answer = b""
        self.next_try = 0.0
        self.refused_since: float | None = None
        self._pause = _RETRY_S[0]
        self._refused = 0

    def dial(self) -> None:
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self.stream = socket.socket(family, socket.SOCK_STREAM)
        self.stream.setblocking(False)
        self.said, self.answer = False, b""
        self._refused = self.stream.connect_ex(self.address)  # else how it went is seen once it can be written

    def attend(self) -> bool:
        """Goes on after news of the stream; whether the whole answer is there. Raises OSError where the call has failed."""
        assert self.stream is not None
        if not self.said:
            asked = self.stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code := asked if self._refused in (0, errno.EINPROGRESS) else self._refused:
                raise OSError(code, os.strerror(code))
            self.said = self.stream.send(self.hello) == len(self.hello)
            return False
        heard = self.stream.recv(_HELLO.size - len(self.answer))
        if not heard:
            raise ConnectionResetError("turned away")
        self.answer += heard
        return len(self.answer) == _HELLO.size

    def put_off(self, now: float) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        if self.refused_since is None:
            self.refused_since = now
        self.next_try = now + self._pause
        self._pause = min(2 * self._pause, _RETRY_S[1])


class Meeting:
    """One generation's forming, as worker ``rank`` sees it."""

    def __init__(self, doors: Sequence[Address], *, rank: int, generation: int, secret: str) -> None:
        self.rank, self.size, self.generation = rank, len(doors), generation
        self._secret = secret.encode()
        self.peers: dict[int, socket.socket] = {}
        self.callers: dict[int, Caller] = {}  # by descriptor
        self._doors = doors
        self._probes: dict[int, socket.socket] = {}  # to doors of higher ranks: only their end is of interest
        self._calls = {r: _Call(doors[r], self._hello(b"call", rank, r)) for r in range(rank)}

    def missing(self) -> list[int]:
        return [r for r in range(self.size) if r != self.rank and r not in self.peers]

    def call(self, now: float) -> None:
        for call in self._calls.values():
            if call.stream is None and now >= call.next_try:
                call.dial()

    def probe(self) -> None:
        """Holds a connection to each higher rank that has not called yet: who dies before it calls is noticed, too."""
        for r in range(self.rank + 1, self.size):
            if r in self.peers or r in self._probes:
                continue
            family = socket.AF_INET6 if ":" in self._doors[r][0] else socket.AF_INET
            probe = self._probes[r] = socket.socket(family, socket.SOCK_STREAM)
            probe.setblocking(False)
            if probe.connect_ex(self._doors[r]) == errno.ECONNREFUSED:
                raise self._is_gone(r)

    def _is_gone(self, r: int, note: str = "nobody is at its door") -> PeerLost:
        host, port = self._doors[r]
        where = f"{host}:{port}, generation {self.generation}"
        return PeerLost(f"worker {r} is gone, or in another generation", where=where, note=note)

    def pause(self, now: float) -> float:
        return max(0.0, min((c.next_try - now for c in self._calls.values() if c.stream is None), default=CANCEL_S))

    def register(self, poll: select.poll) -> None:
        for fd in self.callers:
            poll.register(fd, select.POLLIN)
        for call in self._calls.values():
            if call.stream is not None:
                poll.register(call.stream, select.POLLIN if call.said else select.POLLOUT)
        for stream in (*self.peers.values(), *self._probes.values()):
            poll.register(stream, select.POLLRDHUP)

    def attend(self, fd: int) -> None:
        for r, stream in self.peers.items():
            if stream.fileno() == fd:
                raise PeerLost(f"worker {r} left while the generation formed", where=f"generation {self.generation}")
        for r, probe in list(self._probes.items()):
            if probe.fileno() == fd:
                refused = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
                self._probes.pop(r).close()  # made again, unless its rank has come
                if refused:
                    raise self._is_gone(r)
        for r, call in list(self._calls.items()):
            if call.stream is not None and call.stream.fileno() == fd:
                self._follow(r, call)

    def _follow(self, r: int, call: _Call) -> None:
        try:
            if not call.attend():
                return
            if not hmac.compare_digest(call.answer, self._hello(b"answer", r, self.rank)):
                raise ConnectionResetError("it does not know the generation's secret")
        except BlockingIOError:
            return
        except OSError as error:
            call.put_off(now := time.monotonic())
            if call.refused_since is not None and now - call.refused_since > GONE_S:
                raise self._is_gone(r, str(error)) from error
            return
        assert call.stream is not None
        self.peers[r] = call.stream
        del self._calls[r]

    def admit(self, caller: Caller) -> bool:
        """Whether the caller is a higher rank of this generation that is still there; it is answered."""
        if caller.generation != self.generation:
            return False
        r = _HELLO.unpack(caller.said)[2]
        if not self.rank < r < self.size or not hmac.compare_digest(caller.said, self._hello(b"call", r, self.rank)):
            return False
        try:
            caller.stream.send(self._hello(b"answer", self.rank, r))
        except OSError:
            return False
        if (before := self.peers.pop(r, None)) is not None:  # it has called again: it did not hear the first answer
            before.close()
        self.peers[r] = caller.stream
        return True

    def forget_silent(self, now: float) -> None:
        for fd, caller in list(self.callers.items()):
            if now - caller.since > HELLO_S:
                caller.stream.close()
                del self.callers[fd]

    def drop_unfinished(self) -> None:
        callers, calls = (each.stream for each in self.callers.values()), (each.stream for each in self._calls.values())
        for stream in (*self._probes.values(), *callers, *calls):
            if stream is not None:
                stream.close()

    def _hello(self, word: bytes, speaker: int, listener: int) -> bytes:
        said = word + struct.pack("<QII", self.generation, speaker, listener)
        return _HELLO.pack(_MAGIC, self.generation, speaker, listener, hmac.digest(self._secret, said, "sha256"))
