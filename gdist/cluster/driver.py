"""The driver of a run on Ray: finds or starts a cluster, places controller, workers and agents on it, and relays what they say.

    result = train_on_ray(order, workers=2, address=None, watch=print, interrupt=Interrupt(), verbose=False)

The driver decides and computes nothing of the run, and imports no torch. All actors are started at once, so that the workers
import torch, load the job and open the data while the rest comes up.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from gdist.cluster.asked import asked_resources
from gdist.cluster.charge import Charge, Outcome
from gdist.cluster.controller import Controller
from gdist.cluster.death import start_time
from gdist.cluster.lease import ORPHAN_S
from gdist.cluster.names import NAMESPACE, controller_name, new_run_id, worker_name
from gdist.cluster.output import hold_pipe, pipe_path
from gdist.cluster.placement import Share, release, reserve, share
from gdist.cluster.scratch import enter_scratch, remove_abandoned, remove_scratch, scratch_path
from gdist.cluster.session import Session, open_session
from gdist.cluster.worker_actor import Assignment, WorkerActor
from gdist.errors import DeadlineExceeded, GdistError, RunFailed
from gdist.records import Interrupt, Order, Update, Watch, event
from gdist.run.folder import RunFolder
from gdist.worker.local import failure

_DETACHED = {"namespace": NAMESPACE, "lifetime": "detached", "max_restarts": 0, "max_task_retries": 0}
POLL_S = 0.1
SILENCE_S = 30.0  # of a controller that is alive
CLOSE_S = 5.0


def train_on_ray(
    order: Order, *, workers: int | None, address: str | None, watch: Watch, interrupt: Interrupt, verbose: bool = False
) -> dict[str, Any]:
    """Trains ``order`` on Ray actors. ``workers``: None for the default; ``address``: of a cluster (RAY_ADDRESS counts too);
    None for a Ray of its own on this machine. Returns the contents of ``result.json``; raises GdistError."""
    order = _absolute(order)
    _refuse_taken_name(order)
    asked = asked_resources(order)
    remove_abandoned()
    session = open_session(address, verbose=verbose)
    try:
        cpus, gpus = asked.result()
        total = session.ray.cluster_resources()
        each = share(
            workers=workers, cpus=cpus, gpus=gpus, total_cpus=total.get("CPU", 0.0), total_gpus=total.get("GPU", 0.0),
            shared=not session.embedded,
        )  # fmt: skip
        return _Run(session, order, each, watch, interrupt).to_the_end()
    finally:
        session.close()


class _Run:
    """The actors of one run, as their driver sees them."""

    def __init__(self, session: Session, order: Order, each: Share, watch: Watch, interrupt: Interrupt) -> None:
        self._session = session
        self._ray = session.ray
        self._watch = watch
        self._interrupt = interrupt
        self._each = each
        self._run_id = new_run_id(order.name or os.path.splitext(os.path.basename(order.job_file or "job"))[0])
        self._order = replace(order, page_dir=str(scratch_path(self._run_id)))
        self._group: Any = None
        self._controller: Any = None
        self._workers: list[Any] = []
        self._run_dir: str | None = None
        self._held: list[int] = []  # descriptors: the scratch folder's lock, the workers' pipes
        self._error: GdistError | None = None
        self._lives: dict[Any, int] = {}  # the reference to a worker's life -> its slot

    def to_the_end(self) -> dict[str, Any]:
        try:
            if self._session.embedded:
                self._start_workers()  # first: they take the processes that Ray has started ahead
                self._start_controller()
            else:
                self._start_controller()  # first: it gives the room back if this process dies while it waits
                each, name = self._each, self._run_id
                self._group = reserve(self._ray, each, name=name, say=self._explain, wait=self._wait_for_room)
                if self._group is None:
                    return {"status": "stopped", "reason": self._interrupt.reason, "steps": 0}
                self._start_workers()
            self._lives = {handle.live.remote(self._controller): slot for slot, handle in enumerate(self._workers)}
            return self._follow()
        except GdistError as error:
            self._error = error
            raise
        except KeyboardInterrupt:  # in a notebook, where no handler turns it into a wish
            self._abandon()
            raise
        finally:
            self._end()

    def _start_workers(self) -> None:
        ray, each = self._ray, self._each
        worker = ray.remote(WorkerActor)
        scratch, lock = enter_scratch(self._run_id)
        self._held = [lock, *(hold_pipe(pipe_path(scratch, slot, 0)) for slot in range(each.workers))]
        one_machine = self._group is None or len(self._nodes()) == 1
        for slot in range(each.workers):
            given = Assignment(
                run_id=self._run_id,
                slot=slot,
                incarnation=0,
                order=self._order,
                folder=os.getcwd(),
                threads=each.threads,
                one_machine=one_machine,
            )
            options = {"name": worker_name(self._run_id, slot, 0), "num_cpus": each.cpus, "num_gpus": each.gpus}
            if self._group is not None:
                from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

                options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(self._group, slot)
            self._workers.append(worker.options(**_DETACHED, **options).remote(given))

    def _nodes(self) -> set[str]:
        """The nodes on which there is room for the workers."""
        from ray.util.placement_group import placement_group_table

        return set(placement_group_table(self._group)["bundles_to_node_id"].values())

    def _start_controller(self) -> None:
        charge = Charge(
            run_id=self._run_id, order=self._order, workers=self._each.workers, given=self._each.given,
            address=self._session.address, driver_host=socket.gethostname(), driver_pid=os.getpid(),
            driver_started=start_time(os.getpid()), folder=os.getcwd(), reserved=not self._session.embedded,
        )  # fmt: skip
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        controller = self._ray.remote(Controller)
        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=True)
        options = {"name": controller_name(self._run_id), "num_cpus": 0, "scheduling_strategy": here}
        self._controller = controller.options(**_DETACHED, **options).remote(charge)
        self._controller.live.remote()

    def _wait_for_room(self, group: Any) -> bool:
        """Whether the room is there, within a second; tells the controller that somebody waits. Raises InterruptedError."""
        deadline = time.monotonic() + 1.0
        self._controller.follow.remote(0)
        while not group.wait(POLL_S):
            if self._interrupt.stop.is_set() or self._interrupt.now.is_set():
                raise InterruptedError
            if time.monotonic() > deadline:
                return False
        return True

    def _follow(self) -> dict[str, Any]:
        ray, interrupt, asked = self._ray, self._interrupt, False
        after, heard = 0, time.monotonic()
        news = self._controller.follow.remote(after)
        while True:
            ready, _ = ray.wait([news, *self._lives], timeout=POLL_S)
            if interrupt.now.is_set():
                return self._abandon()
            if interrupt.stop.is_set() and not asked:
                self._controller.ask.remote("stop", interrupt.reason)
                asked = True
            for reference in ready:
                if reference in self._lives:
                    self._tell_of_death(reference, self._lives.pop(reference))
            if news in ready:
                updates, after, outcome = self._get(news)
                heard = time.monotonic()
                for update in updates:
                    self._run_dir = next((e["run_dir"] for e in update.events if e.get("run_dir")), self._run_dir)
                    self._watch(update)
                if outcome is not None:
                    return _result(outcome)
                news = self._controller.follow.remote(after)
            elif time.monotonic() - heard > SILENCE_S:
                raise DeadlineExceeded(f"the run's controller has not answered for {SILENCE_S:.0f} s")

    def _get(self, reference: Any) -> Any:
        from ray.exceptions import RayError

        try:
            return self._ray.get(reference, timeout=CLOSE_S)
        except RayError as error:
            raise RunFailed(
                "the run's controller died",
                note=f"{type(error).__name__}: {str(error).splitlines()[0]}",
                help="go on from the last checkpoint: gdist resume RUN",
            ) from error

    def _tell_of_death(self, reference: Any, slot: int) -> None:
        """Ray's word for it; the node agent's is better where it has one."""
        from ray.exceptions import RayError

        try:
            self._ray.get(reference, timeout=CLOSE_S)
        except RayError as error:
            lost = RunFailed(f"worker {slot} could not live", note=f"{type(error).__name__}: {error}"[:2000])
            self._controller.could_not_live.remote(slot, lost)

    def _abandon(self) -> dict[str, Any]:
        """Twice Ctrl-C: nothing is waited for."""
        if self._controller is None:
            return {"status": "stopped", "reason": self._interrupt.reason, "steps": 0}
        try:
            result: dict[str, Any] = self._ray.get(self._controller.abandon.remote(self._interrupt.reason), timeout=1.0)
            return result
        except Exception:
            return {"status": "stopped", "reason": self._interrupt.reason}

    def _explain(self, text: str) -> None:
        self._watch(Update(events=[event("explained", text=text)]))

    def _end(self) -> None:
        """Nobody of the run is left when this returns."""
        ray = self._ray
        if self._controller is not None:
            try:
                ray.get(self._controller.close.remote(), timeout=CLOSE_S)
            except Exception:  # it is dead: its workers have seen that too, and write their checkpoint
                ray.wait(list(self._lives), num_returns=len(self._lives), timeout=ORPHAN_S)
                self._write_result()
        for handle in (*self._workers, self._controller):
            if handle is not None:
                ray.kill(handle, no_restart=True)
        for descriptor in self._held:
            os.close(descriptor)
        remove_scratch(self._run_id)
        if not self._session.embedded:
            release(self._run_id)

    def _write_result(self) -> None:
        """In the controller's place."""
        folder = RunFolder(Path(self._run_dir)) if self._run_dir else None
        if folder is not None and self._error is not None and folder.path.is_dir() and folder.result() is None:
            checkpoints = [path.name for path in folder.checkpoints.glob("step-*")]
            step = max((int(name.removeprefix("step-")) for name in checkpoints), default=0)
            folder.write_result(failure(self._error, step, folder))


def _absolute(order: Order) -> Order:
    """Paths as seen from anywhere on this machine."""
    return replace(
        order,
        job_file=os.path.abspath(order.job_file) if order.job_file else None,
        run_dir=os.path.abspath(order.run_dir) if order.run_dir else None,
        runs_root=os.path.abspath(order.runs_root),
    )


def _refuse_taken_name(order: Order) -> None:
    """Said before anything is started; the folder itself is made when the job is known."""
    if order.name and not order.resume and not order.run_dir and os.path.exists(os.path.join(order.runs_root, order.name)):
        RunFolder.create(order.runs_root, name=order.name, numbered=False)


def _result(outcome: Outcome) -> dict[str, Any]:
    if outcome.error is not None:
        error: GdistError = outcome.error
        raise error
    assert outcome.result is not None
    return outcome.result
