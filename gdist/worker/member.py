"""A member of a run: one worker from preparation to its last word, whoever started it (Ray, torchrun, one process).

member = make_member(order, slot=0, send=..., wishes=...)
member.prepare()            job, model, data: everything that needs no peers
member.join(membership)     a generation: process group, the same weights everywhere
member.work()               the steps; returns the run's result
member.save()               a checkpoint of the last good step, after a failure too
member.leave()
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.errors import RunFailed
from gdist.records import Membership, Order, Watch, Wishes
from gdist.run.folder import RunFolder
from gdist.worker.outbox import Outbox
from gdist.worker.page import Page

if TYPE_CHECKING:
    from gdist.engine.collective import Collective
    from gdist.job.job import Job
    from gdist.worker.build import Built
    from gdist.worker.door import Door
    from gdist.worker.opening import Found
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
        self._page = Page(Path(order.page_dir, f"worker-{slot}") if order.page_dir else None)
        self._door: Door | None = None
        self._found: Found | None = None  # the data, as long as something is to be learned from it
        self._built: Built | None = None
        self._training: Training | None = None
        self._folder: RunFolder | None = None
        self._over = False  # training has ended and its last checkpoint is written

    def prepare(self, *, host: str | None = None) -> dict[str, Any]:
        """Loads the job, makes the model, opens the data, tries one micro-batch. ``host``: the address of this machine at which
        its peers reach it; None: it will have none. Returns what others must know of this worker: ``host`` (name), ``pid``,
        ``door`` (host and port at which peers call, if it has one), ``job`` (name), ``micro_batches``.

        Raises JobError, DataError, UserCodeError."""
        self._page.write("preparing", 0)
        from gdist.worker.machine import set_threads

        job = self._job = self._load_job()
        threads = self._kernel_threads(job)
        if threads is not None:
            set_threads(threads)
        self._make(job)
        if host is not None:
            from gdist.worker.door import Door

            self._door = Door(host)
        self._page.write("prepared", 0)
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "door": self._door.address if self._door is not None else None,
            "job": self.name,
            "micro_batches": self.shares,
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
        return self._training.progress.step if self._training is not None else 0

    def join(self, membership: Membership, collective: Collective | None = None) -> None:
        """Enters a generation; then the weights are the same bits everywhere. ``collective``: one that exists already."""
        collective = collective or self._connect(membership)
        self.complete(collective)
        built = self.built
        self._page.write("joining", self.step)
        self._folder = RunFolder(Path(membership.run_dir)) if membership.run_dir else None
        if membership.rank == 0:
            self.outbox.lead()
        else:
            self.outbox.leads = False
        if self._training is None:
            self._start(built, membership)
        self.outbox.begin(
            generation=membership.generation, samples=built.plan.samples, batch_size=built.plan.batch_size,
            data=built.data.fingerprint,
        )  # fmt: skip
        built.engine.join(collective, generation=membership.generation)
        self.outbox.event("generation", generation=membership.generation, workers=membership.size, reason="start")

    def complete(self, collective: Collective) -> None:
        """Makes what ``prepare`` has left: what the job wants to know of its data is learned first, by all workers together."""
        if self._found is None:
            return
        import torch

        from gdist.worker.build import build

        self._page.write("learning", 0)
        try:
            found = self._found.learn(collective, device=torch.device(self.device))
            self._built = build(found.job, found)
        except BaseException:
            collective.close()  # its peers are free at once
            raise
        self._found = None

    def work(self) -> dict[str, Any]:
        """Takes the remaining steps; returns the contents of ``result.json`` but for ``wall_seconds`` of the whole command."""
        from gdist.worker.telling import conclude

        built, training = self.built, self._training
        assert training is not None, "join() comes first"
        reason = training.run()
        training.save(wait=True)
        self._over = True
        result = conclude(built, training, reason, outbox=self.outbox, order=self.order, name=self.name, folder=self._folder)
        training.tell("on_end", result)
        self.outbox.flush()
        return result

    def save(self, name: str | None = None) -> int:
        """A durable checkpoint of the last good step, whatever rank this is; returns the step."""
        training = self._training
        assert training is not None, "join() comes first"
        self.outbox.lead()
        if self._over:  # the last checkpoint is durable, and the weights may be their average by now
            return self.step
        training.save(name, wait=True)
        training.keeper.report(self.outbox)
        self.outbox.flush()
        return self.step

    def leave(self) -> None:
        """Ends this worker's part in its generation: its peers are told at once. Idempotent."""
        if self._built is not None:
            self._built.engine.leave()

    def close(self) -> None:
        """Leaves for good: nothing of this member goes on in other threads."""
        self.leave()
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
        if self.order.resume and self.order.run_dir is not None:
            before = RunFolder(Path(self.order.run_dir)).data()
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

    def _connect(self, membership: Membership) -> Collective:
        from gdist.engine.collective import Alone
        from gdist.worker.connect import connect

        if membership.size == 1:
            return Alone()
        assert self._door is not None, "workers with peers are prepared with a host"
        return connect(self._door, membership, device=self.device)

    def _start(self, built: Built, membership: Membership) -> None:
        """The run's own state: fresh, or a checkpoint's. Whoever leads writes what the job is."""
        from gdist.job.describe import describe
        from gdist.worker.keeper import Keeper, take_over
        from gdist.worker.progress import Progress
        from gdist.worker.telling import say_started
        from gdist.worker.training import Training

        job, folder = built.job, self._folder
        keeper = Keeper(folder.checkpoints if folder else None, keep=job.keep_checkpoints)
        progress = Progress()
        self._training = Training(
            built, progress=progress, outbox=self.outbox, wishes=self._wishes, keeper=keeper, page=self._page,
            generation=membership.generation, started=self.order.started,
        )  # fmt: skip
        if self.order.resume:
            for sentence in take_over(keeper.newest(self.outbox), built, progress, self._training.stop_rules):
                self.outbox.event("explained", text=sentence)
        if self.outbox.leads and folder is not None:
            if self.order.job_file and not self.order.resume:
                folder.copy_source(self.order.job_file)
            resolved = describe(job) | {"micro_batches": built.plan.micro_batches, "batch_size": built.plan.batch_size}
            facts = built.feed.rows.facts().to_json()
            folder.write_data({"files": built.data.files, "state": built.data.state, "facts": facts})
            folder.write_job(resolved, job_file=self.order.job_file, overrides=self.order.overrides)
            folder.remove_result()
        say_started(
            built, self.outbox, self.order, name=self.name, folder=folder, workers=membership.size, step=progress.step
        )  # fmt: skip


def make_member(order: Order, *, slot: int, send: Watch, wishes: Wishes, threads: int | None = None) -> Member:
    """A member for what the order is for; see ``Member`` for the rest."""
    if order.purpose == "train":
        return Member(order, slot=slot, send=send, wishes=wishes, threads=threads)
    from gdist.worker.inference import Inference

    return Inference(order, slot=slot, send=send, wishes=wishes, threads=threads)
