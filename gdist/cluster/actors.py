"""The actors of one run as their driver makes and ends them: the first workers, the controller, and on a shared cluster the
room for them.

All are detached (nothing of a run belongs to its driver's process) and made at once, so that the workers import torch, load
the job and open the data while the rest comes up.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gdist.cluster.charge import Charge, Terms
from gdist.cluster.controller import Controller
from gdist.cluster.death import start_time
from gdist.cluster.hiring import DETACHED, hire
from gdist.cluster.lease import ORPHAN_S
from gdist.cluster.names import controller_name
from gdist.cluster.output import hold_pipe, pipe_path
from gdist.cluster.placement import Share, release, reserve
from gdist.cluster.scratch import enter_scratch, remove_scratch
from gdist.cluster.sent_job import pack_job
from gdist.cluster.session import Session
from gdist.records import Order
from gdist.run.bounds import Bounds

CLOSE_S = 8.0


class Actors:
    """``share``: of each worker, and how many begin; ``bounds``: how many there may be while the run trains."""

    def __init__(self, session: Session, order: Order, share: Share, *, bounds: Bounds, run_id: str) -> None:
        self.controller: Any = None
        self._session = session
        self._ray = session.ray
        self._share = share
        self._bounds = bounds
        made = {name: each for name in ("job", "data") if not isinstance(each := getattr(order, name), str | None)}
        unmade: dict[str, Any] = dict.fromkeys(made)
        self._terms = Terms(
            run_id=run_id, order=replace(order, **unmade), made=pack_job(made) if made else None, folder=os.getcwd(),
            threads=share.threads, cpus=share.cpus, gpus=share.gpus, embedded=session.embedded,
        )  # fmt: skip
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
            self._group = reserve(self._ray, self._share, name=self._terms.run_id, say=say, wait=wait)
            if self._group is None:
                return False
            self._start_workers()
        for worker in self._workers:
            worker.live.remote(self.controller)
        self.controller.employ.remote(dict(enumerate(self._workers)))
        return True

    def end(self) -> bool:
        """Nobody of the run is left when this returns. Returns whether the controller was there to see to it."""
        ray, led, lost = self._ray, True, self._session.lost()
        if lost is not None:  # whoever is there still ends with the session
            led = False
        elif self.controller is not None:
            try:
                ray.get(self.controller.close.remote(), timeout=CLOSE_S)
            except Exception:  # it is dead: its workers have seen that too, and write their checkpoint
                led = False
                ends = [worker.until_gone.remote() for worker in self._workers]
                ray.wait(ends, num_returns=len(ends), timeout=ORPHAN_S)
        for handle in (*self._workers, self.controller):
            if handle is not None and lost is None:
                ray.kill(handle, no_restart=True)
        for descriptor in self._held:
            os.close(descriptor)
        remove_scratch(self._terms.run_id)
        if not self._session.embedded:
            release(self._terms.run_id)
        return led

    def _start_workers(self) -> None:
        run_id, count = self._terms.run_id, self._share.workers
        scratch, lock = enter_scratch(run_id)
        self._held = [lock, *(hold_pipe(pipe_path(scratch, slot, 0)) for slot in range(count))]
        for slot in range(count):
            room = (self._group, slot) if self._group is not None else None
            self._workers.append(hire(self._ray, self._terms, slot, 0, room=room))

    def _start_controller(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        charge = Charge(
            terms=self._terms, first=self._share.workers, least=self._bounds.least, most=self._bounds.most,
            given=self._share.given, address=self._session.address, driver_host=socket.gethostname(), driver_pid=os.getpid(),
            driver_started=start_time(os.getpid()),
        )  # fmt: skip
        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=True)
        options = {"name": controller_name(self._terms.run_id), "num_cpus": 0, "scheduling_strategy": here}
        self.controller = self._ray.remote(Controller).options(**DETACHED, max_restarts=-1, **options).remote(charge)
        self.controller.live.remote()
