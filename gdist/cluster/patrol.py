"""Who watches whom: the node agents over the workers' processes, the controller over its own node until its agent is there, and
over the agents: one that dies is replaced, a node from which nobody is heard counts as lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gdist.cluster.agents import Agents, called
from gdist.cluster.charge import Charge
from gdist.cluster.chronicle import Chronicle
from gdist.cluster.orders import Kill, Order, WatchWorker
from gdist.cluster.placement import draining_nodes
from gdist.cluster.scratch import scratch_path
from gdist.cluster.staff import Staff
from gdist.cluster.tasks import Tasks
from gdist.cluster.vigil import Died, Hung, Vigil
from gdist.membership import events as ev
from gdist.membership.instructions import Worker

if TYPE_CHECKING:
    from gdist.cluster.leading import Leading

AGENTS_AFTER_S = 5.0  # after the first worker, or at the first step: their start takes processor time from the workers' own
AGENTS = 1000  # of a node's that one controller may start: no name is given twice
SILENT_S = 10.0  # nothing heard of a node, neither of its agent nor of its workers: it is lost
DRAINS_EVERY_S = 2.0
DISMISSED_S = 10.0  # for a worker whose part is over to exit by itself
LATE_S = 0.5  # a round that comes so much too late says that the controller itself was held up


class Patrol:
    """``times``: how often the run was taken up.
    ``started`` names a worker's process; deaths and hangs are told by ``died`` and ``hung``."""

    def __init__(
        self, charge: Charge, *, times: int, chronicle: Chronicle, post: Callable[[str, Order], None], died: Died, hung: Hung
    ) -> None:  # fmt: skip
        run = charge.terms
        self.agents = Agents(run.run_id, reserved=not run.embedded, first=times * AGENTS, lost=self._agent_lost)
        self.places: dict[Worker, dict[str, Any]] = {}  # pid, start_time, host, node, address
        self._shared = not run.embedded
        self._vigil = Vigil(
            scratch_path(run.run_id), printed=lambda slot, _, lines: chronicle.printed(slot, lines), hung=hung, died=died
        )
        self._chronicle = chronicle
        self._post = post
        self._died = died
        self._heard: dict[Worker, float] = {}
        self._dismissed: dict[Worker, float] = {}
        self._agents_due: float | None = None
        self._drains_due = 0.0
        self._drained: set[str] = set()
        self._last_round = time.monotonic()
        self._beside = Tasks()

    def started(self, worker: Worker, place: dict[str, Any]) -> None:
        """Its process lives: it is watched from now on. Idempotent."""
        if worker in self.places:
            return
        self.places[worker] = place
        self._watch(worker, place)

    def heard_worker(self, worker: Worker) -> None:
        self._heard[worker] = time.monotonic()

    def heard_agent(self, node: str, count: int) -> None:
        if self.agents.see(node, count):  # it takes the watch over
            for worker, place in self.places.items():
                if place["node"] == node:
                    self._post(called(node, count), _order_to_watch(worker, place))
            if node == _node_id():
                self._vigil.end()

    def node_of(self, worker: Worker) -> str | None:
        place = self.places.get(worker)
        return str(place["node"]) if place else None

    def is_watched(self, worker: Worker) -> bool:
        """Whether somebody sees its process, and will tell of its end."""
        return worker in self.places

    def kill(self, worker: Worker) -> None:
        """By pid, on its node."""
        self._vigil.kill(worker)
        for agent in self.agents.on(self.node_of(worker) or ""):
            self._post(agent, Kill((worker,)))

    def forget(self, worker: Worker) -> None:
        for known in (self.places, self._heard, self._dismissed):
            known.pop(worker, None)

    def tick(self, leading: Leading, staff: Staff) -> None:
        """Ten times a second."""
        now = time.monotonic()
        late, self._last_round = now - self._last_round, now
        self._vigil.read_output()
        self._vigil.look()
        if self._agents_due is not None and (now > self._agents_due or self._chronicle.written.step):
            self._start_agents()
        if late > LATE_S:
            self._heard = {worker: heard + late for worker, heard in self._heard.items()}
            self.agents.excuse(late)
        for node in self.agents.silent(now, SILENT_S):
            self._node_silent(node, now)
        for worker in leading.given_up & self.places.keys():
            if now - self._dismissed.setdefault(worker, now) > DISMISSED_S:
                self.kill(worker)
        if self._shared and now > self._drains_due:
            self._drains_due = now + DRAINS_EVERY_S
            self._beside.start(self._look_for_drains(leading))

    async def see_workers_out(self, within_s: float, *, grace_s: float) -> None:
        """Until the last process is gone; those that are there after ``grace_s`` are killed."""
        self._agents_due = None
        now = begun = time.monotonic()
        while (self.agents.at_work or self._vigil.workers) and now - begun < within_s:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            for worker in [*self._vigil.workers] if now - begun > grace_s else ():
                self._vigil.kill(worker)

    def _watch(self, worker: Worker, place: dict[str, Any]) -> None:
        watch, agents = _order_to_watch(worker, place), self.agents.on(place["node"])
        for agent in agents:
            self._post(agent, watch)
        if not agents:
            self._agents_due = self._agents_due or time.monotonic() + AGENTS_AFTER_S
            if place["host"] == socket.gethostname():
                self._vigil.watch(watch)

    def _start_agents(self) -> None:
        import ray

        self._agents_due = None
        nodes = {place["node"] for place in self.places.values()}
        self._beside.start(self.agents.start(nodes, ray.get_runtime_context().current_actor))

    def _agent_lost(self, node: str) -> None:
        """Another takes its place; until it is there the controller watches what it can see itself."""
        for worker, place in self.places.items():
            if place["node"] == node:
                self._watch(worker, place)

    def _node_silent(self, node: str, now: float) -> None:
        there = [worker for worker, place in self.places.items() if place["node"] == node]
        if any(now - self._heard.get(worker, now) < SILENT_S for worker in there):
            return
        for worker in there:
            place = self.places[worker]
            cause = f"its node has been silent for {SILENT_S:.0f} s"
            facts = {"pid": place["pid"], "host": place["host"], "cause": cause, "last_lines": [], "phase": None, "place": None}
            self.kill(worker)
            self._beside.start(self._died(*worker, facts))

    async def _look_for_drains(self, leading: Leading) -> None:
        with contextlib.suppress(Exception):  # Ray's store is away: another time
            for node in set(await asyncio.to_thread(draining_nodes)) - self._drained:
                self._drained.add(node)
                leading.happened(ev.DrainNode(node, "Ray drains its node"))


def _order_to_watch(worker: Worker, place: dict[str, Any]) -> WatchWorker:
    return WatchWorker(*worker, place["pid"], place["start_time"])


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())
