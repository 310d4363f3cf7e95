"""How a process ended, as far as this machine tells: never invented, and "died without a word" if it says nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import struct
from pathlib import Path

# linux/pidfd.h: struct pidfd_info (its first 64 bytes), asked for by an ioctl; the exit code is known since Linux 6.15
_INFO = struct.Struct("<QQIIIIIIIIIIIi")
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_LAST_WORDS = re.compile(r"\b(SIGSEGV|SIGABRT|SIGBUS|SIGFPE|SIGILL)\b|Fatal Python error: ([A-Z][\w ]+)")


def exit_status(pidfd: int) -> int | None:
    """The wait status of the dead process behind ``pidfd``; None where the kernel does not say."""
    asked = bytearray(_INFO.pack(_PIDFD_INFO_EXIT, *(0,) * 13))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, asked)
    except OSError:
        return None
    mask, *_, status = _INFO.unpack(asked)
    return status if mask & _PIDFD_INFO_EXIT else None


def oom_kills() -> int | None:
    """How many processes of this control group the kernel has killed for memory so far; None where it cannot be read."""
    for path in (_memory_events(), Path("/proc/vmstat")):
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text().splitlines() if path is not None else ():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return None


def cause(status: int | None, *, oom_before: int | None, oom_now: int | None, last_lines: list[str]) -> str:
    """One phrase for the cause of a death. ``status``: of wait(2)."""
    killed_by = os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None
    if killed_by in (None, signal.SIGKILL) and oom_before is not None and oom_now is not None and oom_now > oom_before:
        return "killed by the kernel: out of memory"
    if killed_by is not None:
        return f"killed by {_signal_name(killed_by)}"
    if status is not None:
        return f"exited with code {os.WEXITSTATUS(status)}"
    for line in reversed(last_lines):
        found = _LAST_WORDS.search(line)
        if found:
            return f"crashed: {found.group(1) or found.group(2)}"
    return "died without a word"


def start_time(pid: int) -> int | None:
    """When ``pid`` was started (clock ticks since boot): with the pid it names a process for good. None: no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def open_process(pid: int, started: int | None) -> int | None:
    """A pidfd of the process; None if it is gone, or if its number has been given to another since."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    if started is not None and start_time(pid) != started:
        os.close(handle)
        return None
    return handle


def _memory_events() -> Path | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                path = Path("/sys/fs/cgroup", line[3:].lstrip("/"), "memory.events")
                if path.exists():
                    return path
    return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
