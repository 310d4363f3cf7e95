"""An S3 server in its own process, and a wire to it that a test can cut or hold."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ACCESS_KEY = "AKIAOFTHETEST"
SECRET_KEY = "nobody/may+see=this"
_START_S = 60.0


@contextlib.contextmanager
def s3_server(**environment: str) -> Iterator[int]:
    """Its port on loopback. The process is gone at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, **environment}, **quiet)  # type: ignore[call-overload]
    try:
        _wait_for(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=2):
                return
        except OSError:
            assert process.poll() is None, "the S3 server ended"
            assert time.monotonic() < deadline, f"the S3 server did not answer within {_START_S:.0f} s"
            time.sleep(0.05)


def options(port: int) -> dict[str, Any]:
    """What a user gives for such a server."""
    return {
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "region": "us-east-1",
        "scheme": "http",
        "endpoint_override": f"127.0.0.1:{port}",
        "connect_timeout": 2,
        "request_timeout": 1,
    }


@dataclass
class Wire:
    """Carries bytes to a server. Of each answer longer than ``after`` bytes, the next ``cuts`` break off there, with a reset;
    while ``held`` is True they stop there instead."""

    to: int
    after: int = 100_000
    cuts: int = 0
    held: bool = False
    fired: int = 0
    port: int = 0
    _ends: list[socket.socket] = field(default_factory=list)

    @contextlib.contextmanager
    def open(self) -> Iterator[Wire]:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._ends.append(listener)
        threads: list[threading.Thread] = []
        threads.append(threading.Thread(target=self._accept, args=(listener, threads)))
        threads[0].start()
        try:
            yield self
        finally:
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
            for thread in threads:
                thread.join(10)

    def _accept(self, listener: socket.socket, threads: list[threading.Thread]) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.to))
                self._ends += [client, server]
                answered = [0]
                for carry in (self._carry_questions, self._carry_answers):
                    thread = threading.Thread(target=carry, args=(client, server, answered))
                    thread.start()
                    threads.append(thread)

    def _carry_questions(self, client: socket.socket, server: socket.socket, answered: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                answered[0] = 0
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _carry_answers(self, client: socket.socket, server: socket.socket, answered: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(16384):
                answered[0] += len(data)
                if answered[0] > self.after and self.held:
                    self.fired += 1
                    return
                if answered[0] > self.after and self.cuts > 0:
                    self.cuts -= 1
                    self.fired += 1
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.shutdown(socket.SHUT_RD)
                    client.close()
                    return
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
