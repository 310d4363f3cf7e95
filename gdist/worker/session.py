"""A worker's part in a run, from its first generation to the run's end: what its steps and its boundaries work with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from gdist.worker.blame import blaming_user

if TYPE_CHECKING:
    from gdist.engine.collective import Collective
    from gdist.records import Order, Wishes
    from gdist.run.folder import RunFolder
    from gdist.worker.build import Built
    from gdist.worker.hang import Allowances
    from gdist.worker.keeper import Keeper
    from gdist.worker.outbox import Outbox
    from gdist.worker.progress import Progress
    from gdist.worker.state import RunState


class Session:
    """``name``: of the run's job. ``generation``: the present one; ``stepped_at``: monotonic time at which the last
    committed step, or the evaluation after it, ended; None before the first that this worker took."""

    def __init__(
        self,
        built: Built,
        state: RunState,
        *,
        outbox: Outbox,
        wishes: Wishes,
        keeper: Keeper,
        allowances: Allowances,
        order: Order,
        name: str,
        folder: RunFolder | None,
    ) -> None:
        self.built, self.state, self.outbox, self.wishes, self.keeper = built, state, outbox, wishes, keeper
        self.allowances = allowances
        self.order, self.name, self.folder = order, name, folder
        self.generation = 0
        self.stepped_at: float | None = None

    @property
    def progress(self) -> Progress:
        return self.state.progress

    @property
    def collective(self) -> Collective:
        collective = self.built.engine.collective
        assert collective is not None, "the worker is in no generation"
        return collective

    @property
    def next_generation(self) -> int:
        """The one that this worker is ready to leave for, or 0."""
        wanted = self.wishes.next
        return wanted if wanted > self.generation else 0

    def tell(self, place: str, said: dict[str, Any]) -> None:
        """The user's callbacks, once, where the run's lines are written: they see what all workers know alike."""
        for callback in self.built.job.callbacks if self.outbox.leads else ():
            what = f"{type(callback).__name__}.{place} failed"
            blame = blaming_user(what, worker=self.outbox.slot, step=self.progress.step)
            with blame, self.allowances.section("callback", self.progress.step):
                getattr(callback, place)(said, self.wishes)

    def report_checkpoints(self) -> None:
        """Says what became of those that are written meanwhile."""
        for told in self.keeper.report(self.outbox):
            self.tell("on_checkpoint", told)

    def save(self, name: str | None = None, *, wait: bool = False, alone: bool = False) -> None:
        """A checkpoint of the last good step, of which this worker writes its share, or all (``alone``); a regular one once a
        step."""
        if self.outbox.leads:
            self.outbox.flush()  # a run that goes on from this checkpoint finds the ledger of all steps up to it
        with self.allowances.section("finish" if wait else "copy", self.progress.step):
            self.keeper.save(
                self.built, self.progress, self.state.rules, seconds=self.state.seconds, name=name, wait=wait, alone=alone
            )

    def wait_for_all(self) -> None:
        """Returns once all workers are here; raises PeerLost."""
        if self.collective.size > 1:
            self.collective.all_reduce(torch.zeros(1, device=self.built.device)).wait()

    def since_last_step(self) -> float | None:
        """Seconds, on this worker's clock."""
        return time.monotonic() - self.stepped_at if self.stepped_at is not None else None
