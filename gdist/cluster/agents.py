"""The node agents of a run, as its controller knows them: made when they disturb nobody, replaced when they die, sent home
at the end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from gdist.cluster.names import NAMESPACE, agent_name
from gdist.cluster.node_agent import NodeAgent
from gdist.cluster.tasks import Tasks, death_of

DISMISS_S = 2.0  # for Ray to hear that an agent is not needed


Agent = tuple[str, int]  # node, count: of the agents that the node has had


class Agents:
    """``reserved``: as in ``NodeAgent``; ``first``: the first count that is free; ``lost(node)``: the last agent of a node is
    gone before its time. A node may have two for a while, where a former controller was just starting one."""

    def __init__(self, run_id: str, *, reserved: bool, first: int, lost: Callable[[str], None]) -> None:
        self._run_id = run_id
        self._reserved = reserved
        self._count = first
        self._lost = lost
        self._handles: dict[Agent, Any] = {}
        self._heard: dict[Agent, float] = {}
        self._done: set[Agent] = set()
        self._starting: set[str] = set()  # nodes
        self._beside = Tasks()

    @property
    def names(self) -> list[str]:
        """Of all, as in ``pull``."""
        return [called(*agent) for agent in self._handles]

    @property
    def at_work(self) -> set[Agent]:
        """Those that have come to life and not yet said goodbye."""
        return self._heard.keys() - self._done

    def on(self, node: str) -> list[str]:
        """Names of those on ``node`` that were heard."""
        return [called(*agent) for agent in self._heard if agent[0] == node]

    async def start(self, nodes: Iterable[str], controller: Any) -> None:
        """One on each of ``nodes`` that has none. Asks Ray in a thread: without its gcs_server it does not answer."""
        for node in set(nodes) - {node for node, _ in self._handles} - self._starting:
            self._starting.add(node)
            agent, self._count = (node, self._count), self._count + 1
            try:
                self._watch(agent, await asyncio.to_thread(self._make, agent, controller))
            finally:
                self._starting.discard(node)

    def see(self, node: str, count: int) -> bool:
        """An agent was heard; True the first time."""
        agent = (node, count)
        new = agent not in self._heard
        self._heard[agent] = time.monotonic()
        if agent not in self._handles:  # of a former controller
            import ray

            with contextlib.suppress(ValueError):  # it has died since
                self._watch(agent, ray.get_actor(agent_name(self._run_id, node, count), namespace=NAMESPACE))
        return new

    def silent(self, now: float, seconds: float) -> list[str]:
        """The nodes whose agents were heard, but not for so long."""
        last: dict[str, float] = {}
        for (node, _), heard in self._heard.items():
            last[node] = max(heard, last.get(node, heard))
        return [node for node, heard in last.items() if now - heard > seconds]

    def excuse(self, seconds: float) -> None:
        """Whoever listens was away for so long itself."""
        for agent in self._heard:
            self._heard[agent] += seconds

    def say_goodbye(self, node: str, count: int) -> None:
        self._done.add((node, count))

    async def dismiss_the_unborn(self) -> None:
        """Ends those that are still starting when nobody needs them any more."""
        import ray

        for agent in self._handles.keys() - self._heard.keys():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.to_thread(ray.kill, self._handles[agent], no_restart=True), DISMISS_S)

    def _make(self, agent: Agent, controller: Any) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node, count = agent
        kind: Any = ray.remote(NodeAgent)
        handle = kind.options(
            name=agent_name(self._run_id, node, count),
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(self._run_id, node, count, controller, self._reserved)
        handle.live.remote()
        return handle

    def _watch(self, agent: Agent, handle: Any) -> None:
        self._handles[agent] = handle
        self._beside.start(self._until_gone(agent, handle))

    async def _until_gone(self, agent: Agent, handle: Any) -> None:
        await death_of(handle)
        if agent not in self._done:
            self._handles.pop(agent, None)
            self._heard.pop(agent, None)
            if not self.on(agent[0]):
                self._lost(agent[0])


def called(node: str, count: int) -> str:
    """How an agent calls itself, and its mailbox is called."""
    return f"agent-{node}.{count}"
