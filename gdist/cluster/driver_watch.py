"""Whether the terminal that a run belongs to is still there: seen at once on its own machine, else by its silence."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable

from gdist.cluster.charge import Charge
from gdist.cluster.death import open_process

DRIVER_LEASE_S = 20.0  # a terminal's run ends when its driver has been silent for this; on this machine its death is seen,
STOPPED_DRIVER_S = 300.0  # so that silence only means that it was stopped (Ctrl-Z)


class DriverWatch:
    """``lost(how)`` is called once. ``lost_since``: monotonic time; None: it is there."""

    def __init__(self, charge: Charge, *, lost: Callable[[str], None]) -> None:
        self.lost_since: float | None = None
        self._charge = charge
        self._lost = lost
        self._heard = time.monotonic()
        self._sees = False

    def begin(self) -> None:
        """On the running event loop."""
        self.heard()
        if self._charge.driver_host != socket.gethostname():
            return
        pidfd = open_process(self._charge.driver_pid, self._charge.driver_started)
        if pidfd is None:
            return self._lose("its process is gone")
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self._lose("its process is gone")

        loop.add_reader(pidfd, gone)
        self._sees = True

    def heard(self) -> None:
        self._heard = time.monotonic()

    def tick(self) -> None:
        if time.monotonic() - self._heard > (STOPPED_DRIVER_S if self._sees else DRIVER_LEASE_S):
            self._lose("nothing was heard of it")

    def _lose(self, how: str) -> None:
        if self.lost_since is None:
            self.lost_since = time.monotonic()
            self._lost(how)
