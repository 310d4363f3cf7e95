"""Ends an embedded Ray whose driver was killed: a small process beside the driver, standard library only, run by its path.

    python -I -S gdist/cluster/reaper.py PID

The kernel kills what the driver itself has started (PR_SET_PDEATHSIG); but the raylet's own helpers notice its death after
a minute only, and a driver can be killed at any moment, while Ray starts as well. So this process knows the driver's
descendants (looked up a few times a second), and when the driver is gone kills those that are left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

LOOK_EVERY_S = 0.25
PASSES = 20  # a killed parent may have been about to start a child


def main(driver: int) -> None:
    """Returns when ``driver`` and all its descendants are gone."""
    try:
        pidfd = os.pidfd_open(driver)
    except OSError:
        return
    family: dict[int, str] = {}
    while not select.select([pidfd], [], [], LOOK_EVERY_S)[0]:
        family = {pid: born for pid in descendants(driver) if (born := birth(pid)) is not None}
    for _ in range(PASSES):
        for pid in list(family):
            family |= {child: born for child in descendants(pid) if (born := birth(child)) is not None}
        left = [pid for pid, born in family.items() if pid != os.getpid() and birth(pid) == born]
        if not left:
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    """Children of ``pid``, theirs, and so on."""
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def children(pid: int) -> list[int]:
    """The processes that the threads of ``pid`` have started and not yet collected."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(child) for child in file.read().split()]
    return found


def birth(pid: int) -> str | None:
    """When ``pid`` was started, which tells it from a later one of the same number; None if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            stat = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return stat[19] if stat[0] not in "ZX" else None


if __name__ == "__main__":
    main(int(sys.argv[1]))
