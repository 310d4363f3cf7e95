"""The node agent: one small process a node (no CPU reserved, no torch) that sees at once what Ray sees late or never.

It watches the processes of the run's workers (pidfd), reports a death with what is known of its cause and the worker's last
words, reads what they print, and kills by pid when it is ordered to: ``ray.kill`` is a wish, not a death (trap T10). On the
driver's machine it watches the driver as well. When the run ends it sees to it that no worker is left, and goes last.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from gdist.cluster import death
from gdist.cluster.lease import FIRST_ANSWER_S, LEASE_S, ORPHAN_S, end_unless_claimed, leave_process
from gdist.cluster.orders import Exit, Kill, Order, WatchDriver, WatchWorker
from gdist.cluster.output import OutputReader, pipe_path
from gdist.cluster.placement import release
from gdist.cluster.scratch import enter_scratch, remove_scratch
from gdist.worker.page import read_page

OUTPUT_EVERY_S = 0.1
EXIT_GRACE_S = 0.8  # for workers to end by themselves; then SIGKILL
STATUS_TRIES, STATUS_EVERY_S = 10, 0.01  # the kernel knows the exit status once the parent has collected it


@dataclass
class Watched:
    """A worker's process under watch."""

    order: WatchWorker
    pidfd: int
    output: OutputReader
    oom_before: int | None


class NodeAgent:
    def __init__(self, run_id: str, node_id: str, controller: Any, reserved: bool) -> None:
        self._reserved = reserved
        self._who = f"agent-{node_id}"
        self._run_id = run_id
        self._controller = controller
        self._scratch, self._lock = enter_scratch(run_id)
        self._workers: dict[int, Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unclaimed = end_unless_claimed()

    async def live(self) -> None:
        """The agent's whole life."""
        self._unclaimed.cancel()
        self._start(self._pass_output_on())
        try:
            lost = await self._obey()
            await self._see_workers_out(ORPHAN_S + 5.0 if lost else EXIT_GRACE_S)
        finally:
            remove_scratch(self._run_id)
        if lost and self._reserved:
            await asyncio.to_thread(release, self._run_id)
        if not lost:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._controller.agent_done.remote(self._who), 2.0)
        leave_process()

    async def _obey(self) -> bool:
        """Follows orders until the run is over (False) or its controller is gone (True)."""
        from ray.exceptions import ActorUnavailableError, RayError

        after, patience, answered = 0, FIRST_ANSWER_S, time.monotonic()
        while True:
            try:
                orders = await asyncio.wait_for(self._controller.pull.remote(self._who, 0, after), patience)
            except ActorUnavailableError:
                if time.monotonic() - answered > LEASE_S:
                    return True
                await asyncio.sleep(0.2)
                continue
            except (TimeoutError, RayError):
                return True
            answered, patience = time.monotonic(), LEASE_S
            for number, order in orders:
                after = number
                if isinstance(order, Exit):
                    return False
                self._do(order)

    def _do(self, order: Order) -> None:
        if isinstance(order, WatchWorker):
            self._watch(order)
        elif isinstance(order, WatchDriver):
            self._start(self._watch_driver(order))
        elif isinstance(order, Kill):
            for slot in order.slots:
                if slot in self._workers:
                    self._kill(self._workers[slot])

    def _watch(self, order: WatchWorker) -> None:
        output = OutputReader(pipe_path(self._scratch, order.slot, order.incarnation))
        pidfd = death.open_process(order.pid, order.started)
        watched = Watched(order, pidfd if pidfd is not None else -1, output, death.oom_kills())
        self._workers[order.slot] = watched
        if pidfd is None:
            self._start(self._report_death(watched))
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(pidfd, self._died, watched)

    def _died(self, watched: Watched) -> None:
        asyncio.get_running_loop().remove_reader(watched.pidfd)
        self._start(self._report_death(watched))

    async def _report_death(self, watched: Watched) -> None:
        order = watched.order
        status = None
        for _ in range(STATUS_TRIES if watched.pidfd >= 0 else 0):
            status = death.exit_status(watched.pidfd)
            if status is not None:
                break
            await asyncio.sleep(STATUS_EVERY_S)
        lines = watched.output.close()
        last = list(watched.output.last)
        place = read_page(self._scratch / f"worker-{order.slot}")
        if watched.pidfd >= 0:
            os.close(watched.pidfd)
        self._workers.pop(order.slot, None)
        if lines:
            self._controller.printed.remote(order.slot, order.incarnation, lines)
        facts = {
            "pid": order.pid,
            "host": socket.gethostname(),
            "cause": death.cause(status, oom_before=watched.oom_before, oom_now=death.oom_kills(), last_lines=last),
            "last_lines": last,
            "phase": place.phase if place else None,
            "step": place.step if place else None,
            "seconds_ago": time.monotonic() - place.time if place else None,
        }
        await self._controller.died.remote(order.slot, order.incarnation, facts)

    async def _watch_driver(self, order: WatchDriver) -> None:
        pidfd = death.open_process(order.pid, order.started)
        if pidfd is not None:
            gone = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(pidfd, gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(pidfd)
                os.close(pidfd)
        await self._controller.driver_died.remote()

    async def _pass_output_on(self) -> None:
        """Reads the pipes ten times a second: a worker that prints much is not held up, and nobody is woken for a line."""
        while True:
            for watched in list(self._workers.values()):
                watched.output.read()
                lines = watched.output.take()
                if lines:
                    self._controller.printed.remote(watched.order.slot, watched.order.incarnation, lines)
            await asyncio.sleep(OUTPUT_EVERY_S)

    async def _see_workers_out(self, grace_s: float) -> None:
        deadline = time.monotonic() + grace_s
        while self._workers and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for watched in list(self._workers.values()):
            self._kill(watched)
        while self._workers and time.monotonic() < deadline + 2.0:
            await asyncio.sleep(0.01)

    def _kill(self, watched: Watched) -> None:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(watched.pidfd, signal.SIGKILL)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
