"""A worker that needs no peers yet: its job is loaded, its model made, its data open; and what others must know of it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.errors import RunFailed
from gdist.fault_points import fault_context, fault_point
from gdist.records import Order, Watch, Wishes
from gdist.worker.hang import Allowances
from gdist.worker.outbox import Outbox
from gdist.worker.page import Page

if TYPE_CHECKING:
    from gdist.engine.collective import Collective
    from gdist.job.job import Job
    from gdist.worker.build import Built
    from gdist.worker.door import Door
    from gdist.worker.making import Making


class Prepared:
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
        self._making: Making | None = None

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
        from gdist.worker.making import load_ordered
        from gdist.worker.proof import proof

        job = self._job = load_ordered(self.order)
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
            "proof": proof(job, self.order, self._making.made if self._making is not None else None),
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
        assert self._making is not None, "prepare() comes first"
        return self._making.shares

    def complete(self, collective: Collective) -> None:
        """Makes what ``prepare`` has left, together with the others, where something is to be learned from the data."""
        assert self._making is not None, "prepare() comes first"
        self._making.complete(collective, at=self._allowances.enter)

    def close(self) -> None:
        """Leaves for good."""
        if self._door is not None:
            self._door.close()
        if self._making is not None and self._making.made is not None:
            self._making.made.data.close()

    @property
    def built(self) -> Built:
        """The job as made by ``prepare``."""
        if self._making is None or self._making.made is None:
            raise RunFailed("the worker was asked to train before it was prepared")
        return self._making.made

    def _make(self, job: Job) -> None:
        from gdist.worker.making import Making

        self._making = Making(job, self.order)

    def _kernel_threads(self, job: Job) -> int | None:
        return job.threads or (1 if job.exact else self._threads)  # exact bits: never a matter of the machine
