"""The actors of one run as their driver makes and ends them: workers, controller, and on a shared cluster the room for them.

All are detached (nothing of a run belongs to its driver's process) and made at once, so that the workers import torch, load
the job and open the data while the rest comes up.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gdist.cluster.charge import Charge
from gdist.cluster.controller import Controller
from gdist.cluster.death import start_time
from gdist.cluster.lease import ORPHAN_S
from gdist.cluster.names import NAMESPACE, controller_name, worker_name
from gdist.cluster.output import hold_pipe, pipe_path
from gdist.cluster.placement import Share, release, reserve
from gdist.cluster.scratch import enter_scratch, remove_scratch, scratch_path
from gdist.cluster.sent_job import pack_job
from gdist.cluster.session import Session
from gdist.cluster.worker_actor import Assignment, WorkerActor
from gdist.records import Order

CLOSE_S = 5.0
_DETACHED = {"namespace": NAMESPACE, "lifetime": "detached", "max_restarts": 0, "max_task_retries": 0}


class Actors:
    """``lives``: the references to the workers' lives, by slot; one that ends says that a worker is gone."""

    def __init__(self, session: Session, order: Order, share: Share, *, run_id: str) -> None:
        self.controller: Any = None
        self.lives: dict[Any, int] = {}
        self._session = session
        self._ray = session.ray
        self._share = share
        self._run_id = run_id
        made = {name: each for name in ("job", "data") if not isinstance(each := getattr(order, name), str | None)}
        self._made = pack_job(made) if made else None
        unmade: dict[str, Any] = dict.fromkeys(made)
        self._order = replace(order, **unmade, page_dir=str(scratch_path(run_id)))
        self._group: Any = None
        self._workers: list[Any] = []
        self._held: list[int] = []  # descriptors: the scratch folder's lock, the workers' pipes

    def start(self, *, say: Callable[[str], None], wait: Callable[[Any], bool]) -> bool:
        """``wait`` and ``say`` as in ``placement.reserve``; False if there was no room and the user gave up waiting for it."""
        if self._session.embedded:
            self._start_workers()  # first: they take the processes that Ray has started ahead
            self._start_controller()
        else:
            self._start_controller()  # first: it gives the room back if this process dies while it waits
            self._group = reserve(self._ray, self._share, name=self._run_id, say=say, wait=wait)
            if self._group is None:
                return False
            self._start_workers()
        self.lives = {handle.live.remote(self.controller): slot for slot, handle in enumerate(self._workers)}
        return True

    def end(self) -> bool:
        """Nobody of the run is left when this returns. Returns whether the controller was there to see to it."""
        ray, led = self._ray, True
        if self.controller is not None:
            try:
                ray.get(self.controller.close.remote(), timeout=CLOSE_S)
            except Exception:  # it is dead: its workers have seen that too, and write their checkpoint
                led = False
                ray.wait(list(self.lives), num_returns=len(self.lives), timeout=ORPHAN_S)
        for handle in (*self._workers, self.controller):
            if handle is not None:
                ray.kill(handle, no_restart=True)
        for descriptor in self._held:
            os.close(descriptor)
        remove_scratch(self._run_id)
        if not self._session.embedded:
            release(self._run_id)
        return led

    def _start_workers(self) -> None:
        kind = self._ray.remote(WorkerActor)
        scratch, lock = enter_scratch(self._run_id)
        self._held = [lock, *(hold_pipe(pipe_path(scratch, slot, 0)) for slot in range(self._share.workers))]
        one_machine = self._group is None or len(self._nodes()) == 1
        for slot in range(self._share.workers):
            given = Assignment(
                run_id=self._run_id, slot=slot, incarnation=0, order=self._order, made=self._made, folder=os.getcwd(),
                threads=self._share.threads, one_machine=one_machine,
            )  # fmt: skip
            options = {"name": worker_name(self._run_id, slot, 0), "num_cpus": self._share.cpus, "num_gpus": self._share.gpus}
            if self._group is not None:
                from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

                options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(self._group, slot)
            self._workers.append(kind.options(**_DETACHED, **options).remote(given))

    def _start_controller(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        charge = Charge(
            run_id=self._run_id, order=self._order, workers=self._share.workers, given=self._share.given,
            address=self._session.address, driver_host=socket.gethostname(), driver_pid=os.getpid(),
            driver_started=start_time(os.getpid()), folder=os.getcwd(), reserved=not self._session.embedded,
        )  # fmt: skip
        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=True)
        options = {"name": controller_name(self._run_id), "num_cpus": 0, "scheduling_strategy": here}
        self.controller = self._ray.remote(Controller).options(**_DETACHED, **options).remote(charge)
        self.controller.live.remote()

    def _nodes(self) -> set[str]:
        """The nodes on which there is room for the workers."""
        from ray.util.placement_group import placement_group_table

        return set(placement_group_table(self._group)["bundles_to_node_id"].values())
