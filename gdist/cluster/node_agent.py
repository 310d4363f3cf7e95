"""The node agent: one small process a node (no CPU reserved, no torch) that sees at once what Ray sees late or never.

It keeps the watch over the run's workers on its node (vigil.py) and kills by pid when it is ordered to: ``ray.kill`` is a wish,
not a death, and a stopped process does not hear it. When the run ends it sees to it that no worker is left, and goes last.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from gdist.cluster.lease import AGAIN_S, FIRST_ANSWER_S, LEASE_S, ORPHAN_S, end_unless_claimed, leave_process
from gdist.cluster.orders import Exit, Kill, Order, WatchWorker
from gdist.cluster.placement import release
from gdist.cluster.scratch import enter_scratch, remove_scratch
from gdist.cluster.stuck import LOOK_EVERY_S
from gdist.cluster.vigil import Vigil

EXIT_GRACE_S = 0.8  # for workers to end by themselves; then SIGKILL


class NodeAgent:
    """``reserved``: a placement group holds the run's room on the cluster, and must not outlive the run."""

    def __init__(self, run_id: str, node_id: str, count: int, controller: Any, reserved: bool) -> None:
        self._who = f"agent-{node_id}"
        self._count = count  # tells it from the others that the node has had
        self._run_id = run_id
        self._reserved = reserved
        self._controller = controller
        scratch, self._lock = enter_scratch(run_id)
        self._vigil = Vigil(scratch, printed=self._printed, hung=self._hung, died=self._died)
        self._unclaimed = end_unless_claimed()

    async def live(self) -> None:
        """The agent's whole life, which ends the process."""
        self._unclaimed.cancel()
        output = asyncio.get_running_loop().create_task(self._pass_output_on())
        lost = await self._obey()
        await self._see_workers_out(ORPHAN_S + 5.0 if lost else EXIT_GRACE_S)
        output.cancel()
        remove_scratch(self._run_id)
        if not lost:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._controller.agent_done.remote(self._who, self._count), 2.0)
        elif self._reserved:
            await asyncio.to_thread(release, self._run_id)
        leave_process()

    async def until_gone(self) -> None:
        """Never answered while this agent lives."""
        await asyncio.Event().wait()

    async def _obey(self) -> bool:
        """Follows orders until the run is over (False) or its controller is gone (True)."""
        from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

        after, patience, answered = 0, FIRST_ANSWER_S, time.monotonic()
        while True:
            try:
                answer = await asyncio.wait_for(self._controller.pull.remote(self._who, self._count, after, None), patience)
            except (ActorUnavailableError, RayTaskError):
                if time.monotonic() - answered > patience:
                    return True
                await asyncio.sleep(AGAIN_S)
                continue
            except (TimeoutError, RayError):
                return True
            answered, patience = time.monotonic(), LEASE_S
            for number, order in answer.orders:
                after = number
                if isinstance(order, Exit):
                    return False
                self._do(order)

    def _do(self, order: Order) -> None:
        if isinstance(order, WatchWorker):
            self._vigil.watch(order)
        elif isinstance(order, Kill):
            for worker in order.workers:
                self._vigil.kill(worker)

    def _printed(self, slot: int, incarnation: int, lines: list[str]) -> None:
        self._controller.printed.remote(slot, incarnation, lines)

    def _hung(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        self._controller.hung.remote(slot, incarnation, facts)

    async def _died(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        """Said until a controller has heard it: the one that is there may be dying."""
        from ray.exceptions import RayError

        deadline = time.monotonic() + LEASE_S
        while time.monotonic() < deadline:
            try:
                return await asyncio.wait_for(self._controller.died.remote(slot, incarnation, facts), LEASE_S)
            except (RayError, TimeoutError):
                await asyncio.sleep(AGAIN_S)

    async def _pass_output_on(self) -> None:
        """Ten times a second: a worker that prints much is not held up, and nobody is woken for a line."""
        while True:
            self._vigil.read_output()
            self._vigil.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _see_workers_out(self, grace_s: float) -> None:
        deadline = time.monotonic() + grace_s
        while self._vigil.workers and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for worker in list(self._vigil.workers):
            self._vigil.kill(worker)
        while self._vigil.workers and time.monotonic() < deadline + 2.0:
            await asyncio.sleep(0.01)
