"""Connections among the workers of a generation: each with each, one TCP stream a pair, made through a rendezvous store.

The first worker draws a secret for the generation and leaves it in the store; whoever connects without it is turned away.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from gdist.errors import PeerLost

BUFFER_BYTES = 4 << 20  # of the kernel, each way: with 256 kB a large message takes twice as long
_HELLO = struct.Struct("<32sI")


def connect(store: Any, *, rank: int, size: int, host: str, deadline_s: float) -> dict[int, socket.socket]:
    """Sockets by rank to every other worker. Raises PeerLost where one does not come within ``deadline_s``."""
    ends = time.monotonic() + deadline_s
    with socket.create_server((host, 0), backlog=size) as server:
        if rank == 0:
            store.set("secret", secrets.token_bytes(32).hex())
        store.set(f"address/{rank}", f"{host}:{server.getsockname()[1]}")
        try:
            secret = bytes.fromhex(store.get("secret").decode())
            peers = {r: _call(store.get(f"address/{r}").decode(), secret, rank, ends) for r in range(rank)}
            while len(peers) < size - 1:
                server.settimeout(max(ends - time.monotonic(), 0.001))
                caller, stream = _answer(server, secret)
                if caller is not None and stream is not None:
                    peers[caller] = stream
        except (OSError, RuntimeError) as error:
            raise PeerLost(
                f"worker {rank} could not reach all of the {size} workers within {deadline_s:g} s", note=str(error)
            ) from error
    for stream in peers.values():
        _tune(stream)
    return peers


def _call(address: str, secret: bytes, rank: int, ends: float) -> socket.socket:
    host, _, port = address.rpartition(":")
    stream = socket.create_connection((host, int(port)), timeout=max(ends - time.monotonic(), 0.001))
    stream.sendall(_HELLO.pack(secret, rank))
    return stream


def _answer(server: socket.socket, secret: bytes) -> tuple[int | None, socket.socket | None]:
    stream, _ = server.accept()
    stream.settimeout(5.0)
    with suppress(OSError):
        hello = stream.recv(_HELLO.size, socket.MSG_WAITALL)
        if len(hello) == _HELLO.size:
            offered, rank = _HELLO.unpack(hello)
            if hmac.compare_digest(offered, secret):
                return rank, stream
    stream.close()
    return None, None


def _tune(stream: socket.socket) -> None:
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    stream.setblocking(False)
