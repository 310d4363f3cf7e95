"""A job's model, data and engine: made at once, or once all workers have learned what the job wants to know of its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gdist.fault_points import fault_point
from gdist.job.load import load_job
from gdist.job.overrides import apply_overrides
from gdist.run.folder import RunFolder
from gdist.worker.build import build
from gdist.worker.machine import choose_device
from gdist.worker.opening import find_data

if TYPE_CHECKING:
    from gdist.engine.collective import Collective
    from gdist.job.job import Job
    from gdist.records import Order
    from gdist.worker.build import Built
    from gdist.worker.opening import Found


def load_ordered(order: Order) -> Job:
    """The order's job, or that of its file, with its overrides. Raises JobError."""
    if order.job is not None:
        job: Job = apply_overrides(order.job, order.overrides)
        return job
    assert order.job_file is not None
    return load_job(order.job_file, overrides=order.overrides)


class Making:
    """Opens the data and makes the rest, where nothing is to be learned first. ``made``: None until ``complete``, then."""

    def __init__(self, job: Job, order: Order) -> None:
        found = find_data(job)
        self.made: Built | None = None
        self._found: Found | None = None  # the data, as long as something is to be learned from it
        self._learns = not found.ready
        if order.data_state is not None:
            found = found.with_state(order.data_state)
        elif order.resume and order.run_dir is not None:
            before = RunFolder(Path(order.run_dir)).data()
            if "data" not in order.accept:
                found.require_unchanged(before.get("files"))
            found = found.with_state(before.get("state") or {})
        if found.ready:
            self.made = build(job, found)
        else:
            self._found = found
        self._device = choose_device(job.device)

    @property
    def shares(self) -> int:
        """Into how many parts the work is cut."""
        if self._found is not None:
            return self._found.most_micro_batches
        assert self.made is not None
        return self.made.plan.micro_batches

    def complete(self, collective: Collective, *, at: Callable[[str], None]) -> None:
        """Makes what is left: what the job wants to know of its data is told by a member that knows it, or learned by all
        workers together. ``at``: told what this worker is about to do."""
        if not self._learns:
            return
        from gdist.worker.learn import state_of_a_member

        at("learn")
        fault_point("learn")
        known = state_of_a_member(collective, self.made.data.state if self.made is not None else None, device=self._device)
        if self._found is not None:
            found = self._found
            found = found.with_state(known) if known is not None else found.learn(collective, device=self._device)
            self.made = build(found.job, found)
            self._found = None
