"""The workers of a run as Ray knows them: hired one by one as there is room, called to life, given up, their room given back.

On a shared cluster the first ones have a placement group together. A later one takes the place of a dead one in it, or else has
a group of its own, so that room that is not there keeps nobody else waiting; one such group is pending at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

from gdist.cluster.charge import Terms
from gdist.cluster.hiring import hire
from gdist.cluster.names import NAMESPACE, worker_name
from gdist.cluster.output import hold_pipe, pipe_path
from gdist.cluster.placement import alive_nodes, own_group, release
from gdist.cluster.scratch import scratch_path
from gdist.cluster.tasks import Tasks, death_of
from gdist.errors import GdistError, RunFailed
from gdist.membership.instructions import Worker
from gdist.run.folder import RunFolder

WAIT_ONCE_S = 1.0


class Staff:
    """``gone(worker, error)``: Ray says that a worker is dead, or could not be made. ``gang``: slots that have a bundle of the
    run's own placement group."""

    def __init__(self, terms: Terms, *, gang: int, gone: Callable[[Worker, GdistError], None]) -> None:
        self._terms = terms
        self._gang = gang if not terms.embedded else 0
        self._gone = gone
        self.handles: dict[Worker, Any] = {}
        self._hiring: dict[Worker, asyncio.Task[None]] = {}
        self._beside = Tasks()
        self._groups: set[Worker] = set()  # who has a placement group of its own
        self._pipes: dict[Worker, int] = {}
        self._one_at_a_time = asyncio.Lock()
        self._expected: set[Worker] = set()

    @property
    def pending(self) -> list[Worker]:
        """Hired, and not yet made."""
        return list(self._hiring)

    def expect(self, worker: Worker) -> None:
        """Somebody else is hiring it."""
        self._expected.add(worker)

    def adopt(self, worker: Worker, handle: Any) -> None:
        """A worker that somebody else has called to life."""
        self._expected.discard(worker)
        if worker not in self.handles:
            self.handles[worker] = handle
            self._watch(worker, handle)

    def find(self, worker: Worker) -> None:
        """Adopts a worker that a former controller has hired, if it is there."""
        import ray

        try:
            handle = ray.get_actor(worker_name(self._terms.run_id, *worker), namespace=NAMESPACE)
        except ValueError:
            return
        if not self._terms.embedded and not self._has_bundle(worker):
            self._groups.add(worker)
        self.adopt(worker, handle)

    def hire(self, worker: Worker, *, avoid: tuple[str, ...], folder: RunFolder | None) -> None:
        """Idempotent; ``avoid``: nodes."""
        if worker in self.handles or worker in self._hiring or worker in self._expected:
            return
        self._hiring[worker] = asyncio.get_running_loop().create_task(self._hire(worker, avoid, folder))

    def withdraw(self, worker: Worker) -> bool:
        """Ends the hiring of one that has not been made yet; whether there was one."""
        task = self._hiring.pop(worker, None)
        if task is None:
            return False
        task.cancel()
        self.let_go(worker)
        return True

    def kill(self, worker: Worker) -> None:
        """Ray's way, which may take long: whoever is at its machine kills it by pid."""
        import ray

        if worker in self.handles:
            with contextlib.suppress(Exception):
                ray.kill(self.handles[worker], no_restart=True)

    def let_go(self, worker: Worker) -> None:
        """It is dead: its room is given back."""
        self.handles.pop(worker, None)
        self.watched(worker)
        if worker in self._groups:
            self._groups.discard(worker)
            self._beside.start(asyncio.to_thread(release, self._group_name(worker)))

    def watched(self, worker: Worker) -> None:
        """Somebody reads what the worker prints."""
        pipe = self._pipes.pop(worker, None)
        if pipe is not None:
            os.close(pipe)

    async def close(self) -> None:
        """All room is given back."""
        for worker in self.pending:
            self.withdraw(worker)
        names = [self._group_name(worker) for worker in self._groups] + ([self._terms.run_id] if self._gang else [])
        for name in names:
            await asyncio.to_thread(release, name)

    def _group_name(self, worker: Worker) -> str:
        return f"{self._terms.run_id}-{worker[0]}-{worker[1]}"

    def _has_bundle(self, worker: Worker) -> bool:
        return worker[0] < self._gang

    async def _hire(self, worker: Worker, avoid: tuple[str, ...], folder: RunFolder | None) -> None:
        import ray

        try:
            room = None
            if not self._terms.embedded:
                room = await self._room(worker, avoid)
            with contextlib.suppress(OSError):
                self._pipes[worker] = hold_pipe(pipe_path(scratch_path(self._terms.run_id), *worker))
            handle = await asyncio.to_thread(hire, ray, self._terms, *worker, room=room, folder=folder)
            self.handles[worker] = handle
            handle.live.remote(ray.get_runtime_context().current_actor)
            self._watch(worker, handle)
        except Exception as error:
            if self._hiring.pop(worker, None) is not None:
                self._gone(worker, RunFailed(f"worker {worker[0]} could not be hired", note=f"{type(error).__name__}: {error}"))
        finally:
            self._hiring.pop(worker, None)

    async def _room(self, worker: Worker, avoid: tuple[str, ...]) -> tuple[Any, int]:
        if self._has_bundle(worker):
            from ray.util.placement_group import get_placement_group, placement_group_table

            group = await asyncio.to_thread(get_placement_group, self._terms.run_id)
            table = await asyncio.to_thread(placement_group_table, group)
            if table.get("bundles_to_node_id", {}).get(worker[0]) not in avoid:
                return group, worker[0]
        elsewhere = [node for node in await asyncio.to_thread(alive_nodes) if node not in avoid]
        async with self._one_at_a_time:
            self._groups.add(worker)
            group = own_group(
                self._group_name(worker), cpus=self._terms.cpus, gpus=self._terms.gpus, avoid=avoid if elsewhere else ()
            )
            while not await asyncio.to_thread(group.wait, WAIT_ONCE_S):
                pass
        return group, 0

    def _watch(self, worker: Worker, handle: Any) -> None:
        self._beside.start(self._until_gone(worker, handle))

    async def _until_gone(self, worker: Worker, handle: Any) -> None:
        error = await death_of(handle)
        self._gone(worker, RunFailed(f"worker {worker[0]} could not live", note=f"{type(error).__name__}: {error}"[:2000]))
