"""What a worker's code prints: its descriptors 1 and 2 are a named pipe, which the node agent reads.

So the last words of a killed worker are not lost with it (a C library's too), the worker spends no time on them, and Ray's
prefixes and log files stay out of the way. The worker keeps the reading end open as well: if the agent dies, printing
is no error.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections import deque
from pathlib import Path

_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 16
_LINE_BYTES = 8192  # a longer line is passed on in pieces
LINES_AT_ONCE = 500  # more than this between two messages are counted, not kept
_MARKS = (":actor_name:", ":task_name:", ":job_id:")  # Ray writes them for its own log reader


def pipe_path(scratch: Path, slot: int, incarnation: int) -> Path:
    return scratch / f"worker-{slot}.{incarnation}.output"


def capture_output(path: Path) -> None:
    """From now on all that this process prints goes into the pipe at ``path``."""
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    handle = os.open(path, os.O_RDWR)
    with contextlib.suppress(OSError):  # beyond the user's limit: the pipe keeps its 64 KiB
        fcntl.fcntl(handle, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    for stream, target in ((sys.stdout, 1), (sys.stderr, 2)):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
        os.dup2(handle, target)
    os.close(handle)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115


def hold_pipe(path: Path) -> int:
    """A reading end that nobody reads: what a worker prints before it dies stays in the pipe until its agent comes."""
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


class OutputReader:
    """The agent's side: never waits, passes whole lines on, remembers the last ones."""

    def __init__(self, path: Path, *, remember: int = 60) -> None:
        self.handle = hold_pipe(path)
        self.last: deque[str] = deque(maxlen=remember)
        self._rest = b""
        self._lines: list[str] = []
        self._left_out = 0

    def read(self) -> None:
        """Takes what is in the pipe now."""
        while True:
            try:
                data = os.read(self.handle, _READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                return
            *whole, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _LINE_BYTES:
                whole.append(self._rest)
                self._rest = b""
            for line in whole:
                self._keep(line)

    def take(self) -> list[str]:
        """The lines since the last call."""
        lines, self._lines = self._lines, []
        if self._left_out:
            lines.append(f"... {self._left_out} more lines")
            self._left_out = 0
        return lines

    def close(self) -> list[str]:
        """The lines left, an unfinished one too."""
        self.read()
        if self._rest:
            self._keep(self._rest)
            self._rest = b""
        os.close(self.handle)
        return self.take()

    def _keep(self, line: bytes) -> None:
        text = line.rstrip(b"\r").decode("utf-8", errors="replace")
        if text.startswith(_MARKS):
            return
        self.last.append(text[:_LINE_BYTES])
        if len(self._lines) < LINES_AT_ONCE:
            self._lines.append(text)
        else:
            self._left_out += 1
