"""The parts of a run's controller, put together, and what ties them to one another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

from gdist.cluster import memo
from gdist.cluster.charge import Charge
from gdist.cluster.chronicle import Chronicle
from gdist.cluster.driver_watch import DriverWatch
from gdist.cluster.leading import Leading
from gdist.cluster.losses import Losses
from gdist.cluster.node_agent import EXIT_GRACE_S
from gdist.cluster.notes import Notes
from gdist.cluster.orders import Exit, Mailbox, Order, Standing
from gdist.cluster.patrol import Patrol
from gdist.cluster.placement import release
from gdist.cluster.reports import event_of, retaken
from gdist.cluster.scratch import remove_scratch
from gdist.cluster.staff import Staff
from gdist.cluster.taking_up import take_up
from gdist.cluster.tasks import Tasks
from gdist.errors import GdistError
from gdist.membership import events as ev
from gdist.membership.instructions import Worker
from gdist.membership.machine import Machine
from gdist.membership.state import Kept
from gdist.records import Update
from gdist.run.folder import RunFolder

LEAVE_S = 3.0  # for workers and agents to end once the run is over


class Office:
    """``again``: another controller has led the run until now. ``no_run``: there is none to take up."""

    def __init__(self, charge: Charge, *, again: bool) -> None:
        self.no_run = False
        self.chronicle = Chronicle()
        self._charge = charge
        self._again = again
        self._begun = False
        self._mail: dict[str, Mailbox] = {}
        self._posted = asyncio.Event()
        self._beside = Tasks()
        self._noted = memo.recall(charge.terms.run_id) if again else None
        times = self._noted["times"] + 1 if self._noted else 0
        self.staff = Staff(charge.terms, gang=charge.first, gone=self._gone)
        self.patrol = Patrol(charge, times=times, chronicle=self.chronicle, post=self.post, died=self.died, hung=self.hung)
        self.notes = Notes(charge, chronicle=self.chronicle, staff=self.staff, times=times)
        self.leading = Leading(
            charge, self._machine(), chronicle=self.chronicle, staff=self.staff, post=self.post, kill=self.kill,
            note_down=self.notes.note_down,
        )  # fmt: skip
        self.notes.of(self.leading)
        self._losses = Losses(self.leading, self.staff, kill=self.kill)
        self.driver = DriverWatch(charge, lost=self._driver_lost)

    def begin(self) -> None:
        """What comes before all else that is heard, whoever is heard first. On the event loop."""
        if self._begun:
            return
        self._begun = True
        if self._again:
            noted = self._noted
            there = noted is not None and not noted["over"] and take_up(noted, self.leading, self.staff, self.chronicle)
            self.no_run = not there
            if there:
                self.notes.note_down()
            return
        for slot in range(self._charge.first):
            self.staff.expect((slot, 0))
        self.leading.happened(ev.Tick())
        self.notes.note_down()

    def tick(self) -> None:
        """Ten times a second."""
        self.notes.tick()
        self.leading.tick()
        self.patrol.tick(self.leading, self.staff)
        self.driver.tick()

    def post(self, who: str, order: Order) -> None:
        """Into somebody's mailbox."""
        self._mail.setdefault(who, Mailbox()).put(order)
        self._posted.set()
        self._posted.clear()  # those who wait now are woken; who comes later looks into its mailbox first

    async def orders(self, who: str, after: int, *, wait_s: float) -> list[tuple[int, Order]]:
        """Those past number ``after``; waits for one."""
        mail = self._mail.setdefault(who, Mailbox())
        deadline = time.monotonic() + wait_s
        while not (orders := mail.after(after)) and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._posted.wait(), left)
        return orders

    def stands(self, worker: Worker, standing: Standing) -> None:
        """A worker has said where it stands: news to a controller that takes the run up. Who is heard only after that has no
        part in the run any more."""
        self.patrol.heard_worker(worker)
        leading, machine = self.leading, self.leading.machine
        again = machine.phase == "taking up"
        if (again or not machine.employs(*worker)) and standing.started:
            self.patrol.started(worker, standing.started)
        if worker in leading.given_up or worker in leading.why_killed:
            return
        if again:
            leading.happened(retaken(*worker, standing))
        elif machine.phase != "over" and not machine.employs(*worker):
            leading.dismiss(worker)

    def tell(self, worker: Worker, update: Update) -> None:
        """Events and lines of a worker, unless it was given up."""
        if self.leading.machine.employs(*worker):
            self.chronicle.heard(update)
            if self.chronicle.trouble is not None:
                self.leading.happened(ev.Trouble(self.chronicle.trouble))

    def report(self, worker: Worker, kind: str, content: dict[str, Any]) -> None:
        """What a worker has done; see ``reports.event_of``."""
        if kind == "started":
            self.patrol.started(worker, content)
            self.staff.watched(worker)
        self.leading.happened(event_of(*worker, kind, content))
        self.leading.noticed(kind, content)

    def kill(self, worker: Worker) -> None:
        self.patrol.kill(worker)
        self.staff.kill(worker)

    async def died(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        self._losses.lost((slot, incarnation), facts, node=self.patrol.node_of((slot, incarnation)))
        self.patrol.forget((slot, incarnation))

    def hung(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        self._losses.hung((slot, incarnation), facts)

    async def close(self) -> None:
        """Sends everybody home; returns once the agents have seen the last worker's process gone, or after a bound."""
        for worker in [*self.staff.pending, *self.staff.handles]:
            self.leading.dismiss(worker)
        for agent in self.patrol.agents.names:
            self.post(agent, Exit())
        await self.patrol.see_workers_out(LEAVE_S, grace_s=EXIT_GRACE_S)
        await self.patrol.agents.dismiss_the_unborn()
        run_id = self._charge.terms.run_id
        remove_scratch(run_id)
        await self.staff.close()
        if not self._charge.terms.embedded:
            await asyncio.to_thread(release, run_id)
        memo.forget(run_id)

    def _machine(self) -> Machine:
        charge, noted, order = self._charge, self._noted, self._charge.terms.order
        train = order.purpose == "train"
        before = noted["generation"] if noted else 0
        if order.resume and order.run_dir and not noted:
            before = RunFolder(Path(order.run_dir)).last_generation()
        return Machine(
            least=noted["least"] if noted else charge.least, most=noted["most"] if noted else charge.most,
            given=charge.given and train,  # a step has its micro-batches; rows can be shared otherwise
            live=train, resume=order.resume, generation=before, taking_up=self.notes.times,
            kept=Kept.of(noted["kept"]) if noted else None, now=time.monotonic(),
        )  # fmt: skip

    def _gone(self, worker: Worker, error: GdistError) -> None:
        """Ray's word for it; who watches the process knows more, and says it sooner."""
        self._beside.start(self._losses.gone(worker, error, watched=self.patrol.is_watched(worker)))

    def _driver_lost(self, how: str) -> None:
        self.leading.happened(ev.WishRaised("stop", f"the terminal is gone: {how}"))
