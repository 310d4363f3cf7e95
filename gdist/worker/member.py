"""A member of a run: one worker from preparation to its last word, whoever started it (Ray, torchrun, one process).

member = make_member(order, slot=0, send=..., wishes=...)
hello = member.prepare()           job, model, data: everything that needs no peers
member.join(membership)            a generation: connections, then the same state on all
outcome = member.work()            the steps
member.save()                      a checkpoint of the last good step, after a failure too
member.leave()

``join`` and ``work`` follow one another as often as generations do; a worker joins fresh, as a survivor with its state, or
with nothing, which it then receives. ``work`` ends in one of four ways, each of which has left the generation:

    a dict               the run is over, this is its result: report Returned; should a peer be lost, it may be told to join
                         once more, and ``work`` then returns the same, once all have it
    Changed(generation)  all members have left at the same boundary to enter that generation, which a Change order has brought
                         (``Wishes.change``): join its membership, or, with rank -1, report Left; generation 0: all were asked
                         to leave (the wish "drain") and have saved: report Left
    raises PeerLost      the generation broke: report Broken with ``step`` if ``has_state``, else with None, and wait for a Join
    raises another       this worker failed by its own doing: report Failed; ``save`` still works if ``has_state``

``join`` itself ends well, or raises PeerLost (a peer is gone before all had the state), Superseded (``cancelled`` said so), or
another error, as ``work`` does. After it ``step`` is where the generation begins.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.errors import RunFailed
from gdist.fault_points import fault_context, fault_point
from gdist.records import Changed, Membership, Order, Watch, Wishes
from gdist.run.folder import RunFolder
from gdist.worker.hang import Allowances
from gdist.worker.outbox import Outbox
from gdist.worker.page import Page

if TYPE_CHECKING:
    from gdist.engine.collective import Collective
    from gdist.job.job import Job
    from gdist.worker.build import Built
    from gdist.worker.door import Door
    from gdist.worker.opening import Found
    from gdist.worker.session import Session
    from gdist.worker.training import Training


class Member:
    """``slot``: the worker's place among the run's workers, from 0; ``wishes`` may be raised from any thread; ``send`` is
    called from the training thread. ``threads``: of torch's kernels in this process (None: as they are)."""

    def __init__(self, order: Order, *, slot: int, send: Watch, wishes: Wishes, threads: int | None = None) -> None:
        self.order = order
        self._job: Job | None = None
        self.slot = slot
        self.outbox = Outbox(send, slot=slot)
        self._wishes = wishes
        self._threads = threads
        self._allowances = Allowances(Page(Path(order.page_dir, f"worker-{slot}") if order.page_dir else None))
        self._door: Door | None = None
        self._found: Found | None = None  # the data, as long as something is to be learned from it
        self._built: Built | None = None
        self._learns = False  # something of the data is to be learned before the first step
        self._training: Training | None = None
        self._folder: RunFolder | None = None
        self._ended = False  # the user's callbacks have heard of the run's end

    def prepare(self, *, host: str | None = None) -> dict[str, Any]:
        """Loads the job, makes the model, opens the data, tries one micro-batch. ``host``: the address of this machine at which
        its peers reach it; None: it will have none. Returns what others must know of this worker: ``host`` (name), ``pid``,
        ``door`` (host and port at which peers call, if it has one), ``job`` (name), ``micro_batches``, ``poisoned`` (of the
        job), ``proof`` (proof.py).

        Raises JobError, DataError, UserCodeError."""
        self._allowances.enter("prepare")
        fault_context(worker=self.slot)
        fault_point("prepare")
        from gdist.worker.machine import set_threads
        from gdist.worker.proof import proof

        job = self._job = self._load_job()
        threads = self._kernel_threads(job)
        if threads is not None:
            set_threads(threads)
        self._make(job)
        if host is not None:
            from gdist.worker.door import Door

            self._door = Door(host)
        self._allowances.enter("idle")
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "door": self._door.address if self._door is not None else None,
            "job": self.name,
            "micro_batches": self.shares,
            "poisoned": job.poisoned,
            "proof": proof(job, self.order, self._built),
        }

    @property
    def name(self) -> str:
        """The job's name: its own, or its file's."""
        assert self._job is not None
        return self._job.name or (Path(self.order.job_file).stem if self.order.job_file else "job")

    @property
    def device(self) -> str:
        """Where this worker computes: "cpu" or "cuda"."""
        from gdist.worker.machine import choose_device

        assert self._job is not None
        return choose_device(self._job.device).type

    @property
    def shares(self) -> int:
        """Into how many parts the work is cut: more workers would have nothing to do."""
        if self._found is not None:
            return self._found.most_micro_batches
        return self.built.plan.micro_batches

    @property
    def step(self) -> int:
        """Steps taken, all of them good."""
        return self._training.session.progress.step if self._training is not None else 0

    @property
    def has_state(self) -> bool:
        """Whether others could go on from what this worker holds."""
        return self._training is not None and self._training.session.state.whole

    def join(
        self, membership: Membership, collective: Collective | None = None, *, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        """Enters a generation; then the state is the same on all its members, to the bit. ``collective``: one that exists
        already; ``cancelled``: asked while peers are awaited, whether to give up (raises Superseded)."""
        begun = time.monotonic()
        self.leave()
        self._allowances.begin()
        self._allowances.enter("join", self.step)
        fault_context(generation=membership.generation)
        self.outbox.leads = self.outbox.leads and membership.rank == 0
        try:
            collective = collective or self._connect(membership, cancelled)
            self._enter(membership, collective, begun)
        except BaseException:
            if collective is not None:
                collective.close()  # its peers are free at once
            self._allowances.enter("idle", self.step)
            raise

    def _enter(self, membership: Membership, collective: Collective, begun: float) -> None:
        from gdist.worker.handover import level

        fault_point("connected")
        self.complete(collective)
        built = self.built
        self._folder = RunFolder(Path(membership.run_dir)) if membership.run_dir else None
        if not self.has_state:
            self._training = self._start(built, membership)
        training = self._training
        assert training is not None, "made just now, or before"
        session = training.session
        fault_point("handover")
        level(collective, session.state, source=membership.source, device=built.device)
        fault_point("level")
        built.engine.at = self._allowances.enter
        built.engine.join(collective, generation=membership.generation, skip=membership.skip)
        session.generation = membership.generation
        if membership.rank == 0:
            self.outbox.lead()
        self._write_down(session, membership)
        self.outbox.begin(
            generation=membership.generation, samples=built.plan.samples, batch_size=built.plan.batch_size,
            data=built.data.fingerprint,
        )  # fmt: skip
        session.keeper.begin(
            generation=membership.generation, rank=membership.rank, members=membership.workers, shared=membership.one_host
        )
        training.enter()
        self._say_generation(session, membership, begun)
        fault_point("entered")

    def complete(self, collective: Collective) -> None:
        """Makes what ``prepare`` has left: what the job wants to know of its data is told by a member that knows it, or learned
        by all workers together."""
        if not self._learns:
            return
        import torch

        from gdist.worker.build import build
        from gdist.worker.learn import state_of_a_member

        self._allowances.enter("learn")
        fault_point("learn")
        device = torch.device(self.device)
        known = state_of_a_member(collective, self._built.data.state if self._built is not None else None, device=device)
        if self._found is not None:
            found = self._found.with_state(known) if known is not None else self._found.learn(collective, device=device)
            self._built = build(found.job, found)
            self._found = None

    def work(self) -> dict[str, Any] | Changed:
        """Takes the remaining steps, of the run or of the generation; returns the contents of ``result.json`` but for
        ``wall_seconds`` of the whole command, or what the generation ended for. See above for the rest."""
        training = self._training
        assert training is not None, "join() comes first"
        try:
            outcome = training.run()
            if not isinstance(outcome, Changed) and not self._ended:
                self._ended = True
                training.session.tell("on_end", outcome)
            self.outbox.flush()
        except BaseException:
            self.leave()  # its peers are free at once
            raise
        finally:
            self._allowances.enter("idle", self.step)
        if isinstance(outcome, Changed):
            self.leave()
        return outcome

    def save(self, name: str | None = None) -> int:
        """A durable checkpoint of the last good step, whatever rank this is; returns the step."""
        assert self._training is not None, "join() comes first"
        session = self._training.session
        if not self.has_state:
            raise RunFailed("there is no good step to save: this worker has no state, or a step was broken off in its update")
        self.outbox.lead()
        if session.progress.kept:
            return self.step
        session.save(name, wait=True, alone=True)
        session.keeper.report(self.outbox)
        self.outbox.flush()
        return self.step

    def leave(self) -> None:
        """Ends this worker's part in its generation: its peers are told at once. Idempotent."""
        if self._built is not None:
            self._built.engine.leave()

    def break_off(self, generation: int) -> None:
        """From any thread: ``generation`` forms without waiting for the end of the present one, if that is older; whoever waits
        in it for a peer is freed (``work`` raises PeerLost), though no connection has told of a loss (a vanished machine)."""
        training = self._training
        collective = training.session.built.engine.collective if training is not None else None
        if training is not None and collective is not None and training.session.generation < generation:
            collective.close()

    def close(self) -> None:
        """Leaves for good: nothing of this member goes on in other threads."""
        self.leave()
        if self._training is not None:
            self._training.session.keeper.flush()  # others may wait for this worker's part
        if self._door is not None:
            self._door.close()
        if self._built is not None:
            self._built.data.close()

    @property
    def built(self) -> Built:
        """The job as made by ``prepare``."""
        if self._built is None:
            raise RunFailed("the worker was asked to train before it was prepared")
        return self._built

    def _make(self, job: Job) -> None:
        """Opens the data and makes the rest, or leaves that to ``join`` where something is to be learned from the data."""
        from gdist.worker.build import build
        from gdist.worker.opening import find_data

        found = find_data(job)
        self._learns = not found.ready
        if self.order.data_state is not None:
            found = found.with_state(self.order.data_state)
        elif self.order.resume and self.order.run_dir is not None:
            before = RunFolder(Path(self.order.run_dir)).data()
            if "data" not in self.order.accept:
                found.require_unchanged(before.get("files"))
            found = found.with_state(before.get("state") or {})
        if found.ready:
            self._built = build(job, found)
        else:
            self._found = found

    def _kernel_threads(self, job: Job) -> int | None:
        return job.threads or (1 if job.exact else self._threads)  # exact bits: never a matter of the machine

    def _load_job(self) -> Job:
        from gdist.job.load import load_job
        from gdist.job.overrides import apply_overrides

        order = self.order
        if order.job is not None:
            job: Job = apply_overrides(order.job, order.overrides)
            return job
        assert order.job_file is not None
        return load_job(order.job_file, overrides=order.overrides)

    def _connect(self, membership: Membership, cancelled: Callable[[], bool]) -> Collective:
        from gdist.engine.collective import Alone
        from gdist.worker.connect import connect

        if membership.size == 1:
            return Alone()
        assert self._door is not None, "workers with peers are prepared with a host"
        return connect(self._door, membership, device=self.device, cancelled=cancelled, waiting=self._allowances.peers)

    def _start(self, built: Built, membership: Membership) -> Training:
        """The run's own state: fresh, a checkpoint's, or still to be received from a peer."""
        from gdist.worker.keeper import Keeper
        from gdist.worker.session import Session
        from gdist.worker.state import RunState
        from gdist.worker.stopping import StopRules
        from gdist.worker.taking_up import take_over
        from gdist.worker.training import Training

        folder, accept = self._folder, self.order.accept
        keeper = Keeper.of(built.job, folder)
        state = RunState(built.engine.replica, StopRules(built.job.stop), self.outbox, whole=membership.source is None)
        if state.whole and (self.order.resume or (membership.restore and keeper.holds_any())):
            for sentence in take_over(keeper.newest(self.outbox), built, state.progress, state.rules, accept=accept):
                self.outbox.event("explained", text=sentence)
            if self.order.resume:
                state.progress.begin_session()
        session = Session(
            built, state, outbox=self.outbox, wishes=self._wishes, keeper=keeper, allowances=self._allowances, order=self.order,
            name=self.name, folder=folder,
        )  # fmt: skip
        return Training(session)

    def _write_down(self, session: Session, membership: Membership) -> None:
        """What the job is, by whoever leads as the run begins."""
        from gdist.job.describe import describe
        from gdist.worker.telling import say_started

        built, folder, order = session.built, session.folder, self.order
        begins, session.progress.begun = not session.progress.begun, True
        if self.outbox.leads and folder is not None and (begins or not folder.job()):  # its predecessor may not have come to it
            if not order.resume and not membership.restore:
                session.keeper.require_empty()
            if order.job_file and not order.resume:
                folder.copy_source(order.job_file)
            resolved = describe(built.job) | {"micro_batches": built.plan.micro_batches, "batch_size": built.plan.batch_size}
            facts = built.feed.rows.facts().to_json()
            folder.write_data({"files": built.data.files, "state": built.data.state, "facts": facts})
            folder.write_job(resolved, job_file=order.job_file, overrides=order.overrides)
            folder.remove_result()
        if begins:
            say_started(session, workers=membership.size, resumed=order.resume)

    def _say_generation(self, session: Session, membership: Membership, begun: float) -> None:
        """The event ``generation``; ``pause_seconds``: from the last step's end until now, when the next can begin."""
        before, now = session.progress.members, [list(worker) for worker in membership.workers]
        session.progress.members = now
        pause = session.since_last_step()
        session.outbox.event(
            "generation", generation=membership.generation, workers=membership.size, reason=membership.reason,
            step=session.progress.step, members=_slots(now), joined=_slots(now, but=before), left=_slots(before, but=now),
            pause_seconds=pause if pause is not None else time.monotonic() - begun if membership.source is not None else None,
        )  # fmt: skip


def _slots(workers: Sequence[Sequence[int]], but: Sequence[Sequence[int]] = ()) -> list[int]:
    return [slot for slot, incarnation in workers if [slot, incarnation] not in but]


def make_member(order: Order, *, slot: int, send: Watch, wishes: Wishes, threads: int | None = None) -> Member:
    """A member for what the order is for; see ``Member`` for the rest."""
    if order.purpose == "train":
        return Member(order, slot=slot, send=send, wishes=wishes, threads=threads)
    from gdist.worker.inference import Inference

    return Inference(order, slot=slot, send=send, wishes=wishes, threads=threads)
