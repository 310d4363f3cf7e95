"""The node agents of a run, as its controller knows them: made when they disturb nobody, sent home at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gdist.cluster.names import NAMESPACE, agent_name
from gdist.cluster.node_agent import NodeAgent


class Agents:
    """``reserved``: as in ``NodeAgent``. An agent is called ``agent-NODE``."""

    def __init__(self, run_id: str, *, reserved: bool) -> None:
        self._run_id = run_id
        self._reserved = reserved
        self._handles: dict[str, Any] = {}
        self._seen: set[str] = set()
        self._done: set[str] = set()

    @property
    def names(self) -> list[str]:
        return list(self._handles)

    @property
    def at_work(self) -> set[str]:
        """Those that have come to life and not yet said goodbye."""
        return self._seen - self._done

    def start(self, nodes: Iterable[str], controller: Any) -> None:
        """One on each of ``nodes`` that has none."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        kind: Any = ray.remote(NodeAgent)
        for node in set(nodes):
            if f"agent-{node}" not in self._handles:
                agent = kind.options(
                    name=agent_name(self._run_id, node),
                    namespace=NAMESPACE,
                    lifetime="detached",
                    num_cpus=0,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
                ).remote(self._run_id, node, controller, self._reserved)
                agent.live.remote()
                self._handles[f"agent-{node}"] = agent

    def see(self, name: str) -> bool:
        """Notes that ``name`` is there; True the first time."""
        new = name not in self._seen
        self._seen.add(name)
        return new

    def is_seen(self, name: str) -> bool:
        return name in self._seen

    def say_goodbye(self, name: str) -> None:
        self._done.add(name)

    def dismiss_the_unborn(self) -> None:
        """Ends those that are still starting when nobody needs them any more."""
        import ray

        for name in set(self._handles) - self._seen:
            ray.kill(self._handles[name], no_restart=True)
