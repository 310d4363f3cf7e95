"""The node agents of a run, as its controller knows them: made when they disturb nobody, replaced when they die, sent home
at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from gdist.cluster.names import NAMESPACE, agent_name
from gdist.cluster.node_agent import NodeAgent

AGAIN_S = 0.2


class Agents:
    """``reserved``: as in ``NodeAgent``; ``lost(node)``: an agent's process is gone before its time. An agent is called
    ``agent-NODE``."""

    def __init__(self, run_id: str, *, reserved: bool, lost: Callable[[str], None]) -> None:
        self._run_id = run_id
        self._reserved = reserved
        self._lost = lost
        self._handles: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._heard: dict[str, float] = {}
        self._done: set[str] = set()
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> list[str]:
        return list({*self._handles, *self._heard})

    @property
    def at_work(self) -> set[str]:
        """Those that have come to life and not yet said goodbye."""
        return self._heard.keys() - self._done

    def start(self, nodes: Iterable[str], controller: Any) -> None:
        """One on each of ``nodes`` that has none."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        kind: Any = ray.remote(NodeAgent)
        for node in set(nodes):
            name = f"agent-{node}"
            if name not in self._handles and name not in self._heard:
                count = self._counts[name] = self._counts.get(name, -1) + 1
                agent = kind.options(
                    name=agent_name(self._run_id, node, count),
                    namespace=NAMESPACE,
                    lifetime="detached",
                    num_cpus=0,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
                ).remote(self._run_id, node, count, controller, self._reserved)
                agent.live.remote()
                self._handles[name] = agent
                self._watch(node, count, agent)

    def see(self, name: str, count: int) -> bool:
        """``name`` was heard; True the first time."""
        new = name not in self._heard
        self._heard[name] = time.monotonic()
        if name not in self._handles:  # of a former controller
            import ray

            self._counts[name] = count
            node = name.removeprefix("agent-")
            self._handles[name] = ray.get_actor(agent_name(self._run_id, node, count), namespace=NAMESPACE)
            self._watch(node, count, self._handles[name])
        return new

    def is_seen(self, name: str) -> bool:
        return name in self._heard

    def silent(self, now: float, seconds: float) -> list[str]:
        """The nodes whose agents were heard, but not for so long."""
        return [name.removeprefix("agent-") for name, heard in self._heard.items() if now - heard > seconds]

    def excuse(self, seconds: float) -> None:
        """Whoever listens was away for so long itself."""
        for name in self._heard:
            self._heard[name] += seconds

    def say_goodbye(self, name: str) -> None:
        self._done.add(name)

    def dismiss_the_unborn(self) -> None:
        """Ends those that are still starting when nobody needs them any more."""
        import ray

        for name in self._handles.keys() - self._heard.keys():
            ray.kill(self._handles[name], no_restart=True)

    def _watch(self, node: str, count: int, agent: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._until_gone(node, count, agent))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _until_gone(self, node: str, count: int, agent: Any) -> None:
        from ray.exceptions import ActorUnavailableError, RayError

        name = f"agent-{node}"
        while True:
            try:
                await agent.until_gone.remote()
            except ActorUnavailableError:  # says nothing of its life
                await asyncio.sleep(AGAIN_S)
            except RayError:
                break
        if self._counts.get(name) == count and name not in self._done:
            self._handles.pop(name, None)
            self._heard.pop(name, None)
            self._lost(node)
