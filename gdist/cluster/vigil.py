"""The watch over a node's workers: their deaths, at once and with the cause as far as known; who is stuck; what they print.

The node agent keeps it. Until an agent is there (its start takes processor time that the workers need for theirs) the
controller keeps it for the workers of its own node, and then hands it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdist.cluster import death
from gdist.cluster.hiring import page_path
from gdist.cluster.orders import WatchWorker
from gdist.cluster.output import OutputReader, pipe_path
from gdist.cluster.stuck import Clock, Look
from gdist.cluster.tasks import Tasks
from gdist.membership.instructions import Worker
from gdist.worker.page import read_page

STATUS_TRIES, STATUS_EVERY_S = 10, 0.01  # the kernel knows the exit status once the parent has collected it

Printed = Callable[[int, int, list[str]], None]
Hung = Callable[[int, int, dict[str, Any]], None]
Died = Callable[[int, int, dict[str, Any]], Coroutine[Any, Any, None]]


@dataclass
class Watched:
    """A worker's process under watch. ``pidfd`` is None where it was gone before the watch began."""

    order: WatchWorker
    pidfd: int | None
    output: OutputReader
    oom_before: int | None
    look: Look
    hung: bool = False  # it was said, and it was killed


class Vigil:
    """``printed(slot, incarnation, lines)``, ``hung(slot, incarnation, facts)`` and ``died(...)`` are called on the running
    event loop. A worker that is stuck is killed here and now, then told of: the others wait for its end."""

    def __init__(self, scratch: Path, *, printed: Printed, hung: Hung, died: Died) -> None:
        self.workers: dict[Worker, Watched] = {}
        self._hung = hung
        self._clock = Clock()
        self._scratch = scratch
        self._printed = printed
        self._died = died
        self._beside = Tasks()

    def watch(self, order: WatchWorker) -> None:
        """Idempotent."""
        worker = (order.slot, order.incarnation)
        if worker in self.workers:
            return
        output = OutputReader(pipe_path(self._scratch, order.slot, order.incarnation))
        pidfd = death.open_process(order.pid, order.started)
        look = Look(order.pid, page_path(self._scratch, *worker))
        watched = self.workers[worker] = Watched(order, pidfd, output, death.oom_kills(), look)
        if pidfd is None:
            self._saw_death(watched)
        else:
            asyncio.get_running_loop().add_reader(pidfd, self._saw_death, watched)

    def read_output(self) -> None:
        """Passes on what was printed since the last call."""
        for watched in list(self.workers.values()):
            watched.output.read()
            self._pass_on(watched, watched.output.take())

    def look(self) -> None:
        """Ten times a second (``stuck.LOOK_EVERY_S``): who is stuck is named and killed."""
        now = self._clock.look()
        for worker, watched in list(self.workers.items()):
            if watched.hung or watched.pidfd is None:
                continue
            facts = watched.look.stuck(self._clock, now)
            if facts is not None:
                watched.hung = True
                self.kill(worker)
                self._hung(*worker, {"host": socket.gethostname(), **facts})

    def kill(self, worker: Worker) -> None:
        watched = self.workers.get(worker)
        if watched is not None and watched.pidfd is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(watched.pidfd, signal.SIGKILL)

    def end(self) -> None:
        """Somebody else keeps the watch from now on."""
        for watched in self.workers.values():
            self._forget(watched)
            self._pass_on(watched, watched.output.close())
        self.workers = {}

    def _saw_death(self, watched: Watched) -> None:
        if watched.pidfd is not None:
            asyncio.get_running_loop().remove_reader(watched.pidfd)
        self._beside.start(self._report(watched))

    async def _report(self, watched: Watched) -> None:
        order, status = watched.order, None
        for _ in range(STATUS_TRIES if watched.pidfd is not None else 0):
            status = death.exit_status(watched.pidfd) if watched.pidfd is not None else None
            if status is not None:
                break
            await asyncio.sleep(STATUS_EVERY_S)
        if self.workers.pop((order.slot, order.incarnation), None) is None:
            return  # handed over meanwhile
        self._forget(watched)
        self._pass_on(watched, watched.output.close())
        last = list(watched.output.last)
        place = read_page(watched.look.page)
        facts = {
            "pid": order.pid,
            "host": socket.gethostname(),
            "cause": death.cause(status, oom_before=watched.oom_before, oom_now=death.oom_kills(), last_lines=last),
            "last_lines": last,
            "phase": place.phase if place else None,
            "step": place.step if place else None,
            "place": (place.step, place.first, place.last) if place and place.first >= 0 else None,
            "seconds_ago": time.monotonic() - place.time if place else None,
        }
        await self._died(order.slot, order.incarnation, facts)

    def _pass_on(self, watched: Watched, lines: list[str]) -> None:
        if lines:
            self._printed(watched.order.slot, watched.order.incarnation, lines)

    @staticmethod
    def _forget(watched: Watched) -> None:
        if watched.pidfd is not None:
            asyncio.get_running_loop().remove_reader(watched.pidfd)
            os.close(watched.pidfd)
            watched.pidfd = None
