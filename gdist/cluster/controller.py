"""The controller: a small actor that leads a run. It decides nothing itself (gdist/membership), computes nothing, and imports
no torch.

Workers and agents pull their orders from it and report to it; the driver follows it for news. It writes the run folder: events,
metrics, control and result. Everything runs on one event loop, so there are no locks. Should it die, Ray starts it again, and
it takes the run up where it stands (taking_up.py); the workers go on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Any

from gdist.cluster import memo
from gdist.cluster.charge import Charge, Outcome
from gdist.cluster.chronicle import Chronicle
from gdist.cluster.describing import describe, meant, nodes_of
from gdist.cluster.driver_watch import DriverWatch
from gdist.cluster.leading import Leading
from gdist.cluster.lease import bind_to_raylet, end_unless_claimed, leave_process
from gdist.cluster.node_agent import EXIT_GRACE_S
from gdist.cluster.orders import Answer, Exit, Mailbox, Order, Standing
from gdist.cluster.patrol import Patrol
from gdist.cluster.placement import release
from gdist.cluster.reports import event_of, retaken
from gdist.cluster.scratch import remove_scratch
from gdist.cluster.staff import Staff, Worker
from gdist.cluster.taking_up import take_up
from gdist.errors import GdistError
from gdist.membership import events as ev
from gdist.membership.instructions import End
from gdist.membership.machine import Machine
from gdist.records import Update
from gdist.run.folder import RunFolder

ANSWER_S = 1.0  # a pull with nothing to hand out is answered after this
TICK_S = 0.1
LEAVE_S = 3.0  # for workers and agents to end once the run is over
ABANDONED_S = 45.0  # for a run without a driver to save and end


class Controller:
    """One run's; an actor of asyncio."""

    def __init__(self, charge: Charge) -> None:
        import ray

        run = charge.terms
        if os.path.isdir(run.folder):
            os.chdir(run.folder)
        self._charge = charge
        self._id = time.time_ns()  # tells this controller from the run's others
        self._mail: dict[str, Mailbox] = {}
        self._posted = asyncio.Event()
        self._chronicle = Chronicle()
        self._closed = asyncio.Event()
        again = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        self._noted = memo.recall(run.run_id) if again else None
        self._staff = Staff(charge.terms, gang=charge.first, gone=self._gone)
        self._patrol = Patrol(charge, chronicle=self._chronicle, post=self._post, died=self._died, hung=self._hung)
        self._leading = Leading(
            charge, self._machine(), chronicle=self._chronicle, staff=self._staff, post=self._post, kill=self._kill
        )  # fmt: skip
        self._driver = DriverWatch(charge, lost=self._driver_lost)
        self._begun, self._again, self._no_run = False, again, False
        if again:
            bind_to_raylet()
            self._unclaimed = None
            ray.get_runtime_context().current_actor.live.remote()
        else:
            self._unclaimed = end_unless_claimed()

    # -- the driver --

    async def live(self) -> None:
        """Keeps time until the run is over and everybody gone."""
        if self._unclaimed is not None:
            self._unclaimed.cancel()
        self._begin()
        if self._no_run:
            return self._end_process()  # nothing had begun, or all was over
        self._driver.begin()
        while not self._closed.is_set():
            self._leading.tick()
            self._patrol.tick(self._leading, self._staff)
            self._driver.tick()
            orphaned = self._driver.lost_since
            if orphaned is not None and (self._leading.outcome or time.monotonic() - orphaned > ABANDONED_S):
                await self.close()
            await asyncio.sleep(TICK_S)
        await asyncio.sleep(0.02)  # the answer to close() is on its way
        self._end_process()

    async def employ(self, handles: dict[int, Any]) -> None:
        """The first workers, made by the driver, by slot."""
        self._begin()
        for slot, handle in handles.items():
            self._staff.adopt((slot, 0), handle)

    async def follow(self, after: int) -> tuple[list[Update], int, Outcome | None]:
        """News past number ``after``, the number of the last, and the outcome once there is one; waits for either a second."""
        self._begin()
        self._driver.heard()
        news, last = await self._chronicle.news(after, wait_s=0 if self._leading.outcome else ANSWER_S)
        self._driver.heard()
        return news, last, self._leading.outcome

    async def ask(self, wish: str, reason: str) -> None:
        """Passes a wish on to the workers."""
        self._begin()
        self._leading.happened(ev.WishRaised(wish, reason))

    async def scale(self, least: int, most: int, reason: str) -> None:
        """Between ``least`` and ``most`` workers from now on."""
        self._leading.least, self._leading.most = least, most
        self._leading.say("scale", least=least, most=most, reason=reason)
        self._leading.happened(ev.Scale(least, most, reason))
        self._leading.note_down()

    async def drain(self, who: str, reason: str | None) -> list[int]:
        """See ``Reached.drain``."""
        workers = describe(self._leading, self._chronicle, self._patrol)["workers"]
        slots = meant(who, workers)
        nodes = nodes_of(who, workers)
        for node in nodes:
            self._leading.happened(ev.DrainNode(node, reason or "its node is drained"))
        for each in workers if not nodes else ():
            if each["worker"] in slots:
                self._leading.happened(ev.Leaving(each["worker"], each["incarnation"], reason or "asked to leave"))
        return slots

    async def describe(self) -> dict[str, Any]:
        """See ``Reached.describe``."""
        return describe(self._leading, self._chronicle, self._patrol)

    async def abandon(self, reason: str) -> dict[str, Any]:
        """Ends the run at once, without a checkpoint; returns its result."""
        self._leading.end(End(reason=reason, step=max(self._leading.machine.step, self._chronicle.written.step)))
        for worker in [*self._staff.handles]:
            self._kill(worker)
        outcome = self._leading.outcome
        return (outcome.result if outcome is not None else None) or {}

    async def close(self) -> int:
        """Sends everybody home; returns once the agents have seen the last worker's process gone, or after a bound. Returns
        this process's pid: it ends next."""
        for worker in [*self._staff.pending, *self._staff.handles]:
            self._leading.dismiss(worker)
        for agent in self._patrol.agents.names:
            self._post(agent, Exit())
        await self._patrol.see_workers_out(LEAVE_S, grace_s=EXIT_GRACE_S)
        self._patrol.agents.dismiss_the_unborn()
        remove_scratch(self._charge.terms.run_id)
        await self._staff.close()
        if not self._charge.terms.embedded:
            await asyncio.to_thread(release, self._charge.terms.run_id)
        memo.forget(self._charge.terms.run_id)
        self._closed.set()
        return os.getpid()

    # -- workers and agents --

    async def pull(self, who: str, incarnation: int, after: int, standing: Standing | None) -> Answer:
        """The orders for ``who`` past number ``after``; waits a second for one."""
        self._begin()
        if standing is not None:
            self._stands(int(who.removeprefix("worker-")), incarnation, standing)
            who = f"{who}.{incarnation}"
        else:
            self._patrol.heard_agent(who, incarnation)
        mail = self._mail.setdefault(who, Mailbox())
        deadline = time.monotonic() + ANSWER_S
        while not (orders := mail.after(after)) and (left := deadline - time.monotonic()) > 0:
            await _wait(self._posted, left)
        return Answer(
            orders=orders, controller=(self._id, self._chronicle.written.gaps), written_step=self._chronicle.written.step
        )

    async def tell(self, slot: int, incarnation: int, update: Update) -> None:
        """Events and lines of a worker, unless it was given up."""
        self._begin()
        if self._leading.machine.employs(slot, incarnation):
            self._chronicle.heard(update)
            if self._chronicle.trouble is not None:
                self._leading.happened(ev.Trouble(self._chronicle.trouble))

    async def printed(self, slot: int, incarnation: int, lines: list[str]) -> None:
        """Lines that a worker's code has printed."""
        self._chronicle.printed(slot, lines)

    async def report(self, slot: int, incarnation: int, kind: str, content: dict[str, Any]) -> None:
        """What a worker has done; see ``reports.event_of``."""
        self._begin()
        if kind == "started":
            self._patrol.started((slot, incarnation), content)
            self._staff.watched((slot, incarnation))
        self._leading.happened(event_of(slot, incarnation, kind, content))
        self._leading.noticed(kind, content)

    async def died(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        """An agent has seen a worker's process end."""
        self._begin()
        await self._died(slot, incarnation, facts)

    async def hung(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        """An agent has found a worker stuck, and killed it."""
        self._hung(slot, incarnation, facts)

    async def agent_done(self, who: str) -> None:
        self._patrol.agents.say_goodbye(who)

    # -- inside --

    def _takes_up(self) -> bool:
        noted = self._noted
        return noted is not None and not noted["over"] and take_up(noted, self._leading, self._staff, self._chronicle)

    def _begin(self) -> None:
        """What comes before all else that is heard, whoever is heard first."""
        if self._begun:
            return
        self._begun = True
        if self._again:
            self._no_run = not self._takes_up()
            return
        for slot in range(self._charge.first):
            self._staff.expect((slot, 0))
        self._leading.happened(ev.Tick())
        self._leading.note_down()

    def _machine(self) -> Machine:
        """The run's state machine."""
        charge, noted, train = self._charge, self._noted, self._charge.terms.order.purpose == "train"
        return Machine(
            least=noted["least"] if noted else charge.least, most=noted["most"] if noted else charge.most,
            given=charge.given and train,  # a step has its micro-batches; rows can be shared otherwise
            live=train, resume=charge.terms.order.resume, generation=self._generation_before(),
            taking_up=noted is not None, now=time.monotonic(),
        )  # fmt: skip

    def _generation_before(self) -> int:
        order = self._charge.terms.order
        if self._noted is not None:
            return int(self._noted["generation"])
        return RunFolder(Path(order.run_dir)).last_generation() if order.resume and order.run_dir else 0

    def _stands(self, slot: int, incarnation: int, standing: Standing) -> None:
        self._patrol.heard_worker((slot, incarnation))
        if self._leading.machine.phase == "taking up":
            if standing.started:
                self._patrol.started((slot, incarnation), standing.started)
            for event in retaken(slot, incarnation, standing):
                self._leading.happened(event)

    def _kill(self, worker: Worker) -> None:
        self._patrol.kill(worker)
        self._staff.kill(worker)

    async def _died(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        self._leading.lost((slot, incarnation), facts, node=self._patrol.node_of((slot, incarnation)))

    def _hung(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        self._leading.hung((slot, incarnation), facts)

    def _gone(self, worker: Worker, error: GdistError) -> None:
        """Ray's word for it; who watches the process knows more, and says it sooner."""
        self._patrol.aside(self._leading.gone(worker, error, watched=self._patrol.is_watched(worker)))

    def _driver_lost(self, how: str) -> None:
        self._leading.happened(ev.WishRaised("stop", f"the terminal is gone: {how}"))

    def _post(self, who: str, order: Order) -> None:
        self._mail.setdefault(who, Mailbox()).put(order)
        self._posted.set()
        self._posted.clear()  # those who wait now are woken; who comes later looks into its mailbox first

    def _end_process(self) -> None:
        """For good: Ray starts no other in its place."""
        import ray

        with contextlib.suppress(Exception):
            ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
        leave_process()


async def _wait(happened: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(happened.wait(), seconds)
