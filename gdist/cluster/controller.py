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
from collections.abc import Iterator
from typing import Any

from gdist.cluster.charge import Charge, Outcome
from gdist.cluster.describing import describe, meant, nodes_of
from gdist.cluster.lease import end_unless_claimed, leave_process
from gdist.cluster.office import Office
from gdist.cluster.orders import Answer, Standing
from gdist.cluster.verdict import as_gdist
from gdist.cluster.voice import Message
from gdist.membership import events as ev
from gdist.membership.instructions import End
from gdist.records import Update

ANSWER_S = 1.0  # a pull with nothing to hand out is answered after this
TICK_S = 0.1
ABANDONED_S = 45.0  # for a run without a driver to save and end


class Controller:
    """One run's; an actor of asyncio. Each call begins with ``_office()``: whoever is heard first calls it to life."""

    def __init__(self, charge: Charge) -> None:
        import ray

        here = ray.get_runtime_context()
        if os.path.isdir(charge.terms.folder):
            os.chdir(charge.terms.folder)
        self._id = time.time_ns()  # tells this controller from the run's others
        self._closed = asyncio.Event()
        self._heard: dict[tuple[int, int], int] = {}  # by worker
        again = bool(here.was_current_actor_reconstructed)
        self._parts = Office(charge, again=again)
        self._living: asyncio.Task[None] | None = None
        self._unclaimed = end_unless_claimed()
        if again:  # the driver calls only the first to life; Ray may lose this call, but not those of the run's workers
            here.current_actor.live.remote()

    # -- the driver --

    async def live(self) -> None:
        """Until the run is over and everybody gone."""
        self._office()
        assert self._living is not None
        await self._living

    async def _keep_time(self) -> None:
        office = self._parts
        if office.no_run:
            return self._end_process()  # nothing had begun, or all was over
        office.driver.begin()
        while not self._closed.is_set():
            with self._no_fault_unsaid(office):
                office.tick()
            orphaned = office.driver.lost_since
            if orphaned is not None and (office.leading.outcome or time.monotonic() - orphaned > ABANDONED_S):
                await self.close()
            await asyncio.sleep(TICK_S)
        await asyncio.sleep(0.02)  # the answer to close() is on its way
        self._end_process()

    async def employ(self, handles: dict[int, Any]) -> None:
        """The first workers, made by the driver, by slot."""
        for slot, handle in handles.items():
            self._office().staff.adopt((slot, 0), handle)

    async def follow(self, after: int) -> tuple[list[Update], int, Outcome | None]:
        """News past number ``after``, the number of the last, and the outcome once there is one; waits for either a second."""
        office = self._office()
        office.driver.heard()
        news, last = await office.chronicle.news(after, wait_s=0 if office.leading.outcome else ANSWER_S)
        office.driver.heard()
        return news, last, office.leading.outcome

    async def abandon(self, reason: str) -> dict[str, Any]:
        """Ends the run at once, without a checkpoint; returns its result."""
        office = self._office()
        leading = office.leading
        leading.end(End(reason=reason, step=max(leading.machine.step, office.chronicle.written.step)))
        for worker in [*office.staff.handles]:
            office.kill(worker)
        return (leading.outcome.result if leading.outcome is not None else None) or {}

    async def close(self) -> int:
        """Sends everybody home (``Office.close``). Returns this process's pid: it ends next."""
        await self._office().close()
        self._closed.set()
        return os.getpid()

    # -- the driver and other terminals: see reach.py --

    async def ask(self, wish: str, reason: str) -> None:
        self._office().leading.happened(ev.WishRaised(wish, reason))

    async def scale(self, least: int, most: int, reason: str) -> None:
        office = self._office()
        leading = office.leading
        leading.least, leading.most = least, most
        leading.say("scale", least=least, most=most, reason=reason)
        leading.happened(ev.Scale(least, most, reason))
        office.notes.note_down()

    async def drain(self, who: str, reason: str | None) -> list[int]:
        workers = (await self.describe())["workers"]
        slots, nodes = meant(who, workers), nodes_of(who, workers)
        leading = self._office().leading
        for node in nodes:
            leading.happened(ev.DrainNode(node, reason or "its node is drained"))
        for each in workers if not nodes else ():
            if each["worker"] in slots:
                leading.happened(ev.Leaving(each["worker"], each["incarnation"], reason or "asked to leave"))
        return slots

    async def describe(self) -> dict[str, Any]:
        office = self._office()
        return describe(office.leading, office.chronicle, office.patrol)

    # -- workers and agents --

    async def pull(self, who: str, incarnation: int, after: int, standing: Standing | None) -> Answer:
        """The orders for ``who`` past number ``after``; waits a second for one. ``incarnation``: an
        agent's is its count; ``standing``: of a worker."""
        office = self._office()
        if standing is not None:
            with self._no_fault_unsaid(office):
                office.stands((int(who.removeprefix("worker-")), incarnation), standing)
        else:
            with self._no_fault_unsaid(office):
                office.patrol.heard_agent(who.removeprefix("agent-"), incarnation)
        who = f"{who}.{incarnation}"
        orders = await office.orders(who, after, wait_s=ANSWER_S)
        written = office.chronicle.written
        return Answer(orders=orders, controller=(self._id, written.gaps), written_step=written.step)

    async def hear(self, slot: int, incarnation: int, number: int, messages: list[Message]) -> None:
        """What a worker says, in its order (voice.py); ``number``: counts its calls."""
        office, worker = self._office(), (slot, incarnation)
        if number <= self._heard.get(worker, 0):
            return  # it was heard, and the answer was not
        self._heard[worker] = number
        with self._no_fault_unsaid(office):
            for kind, content in messages:
                if kind == "tell":
                    office.tell(worker, content)
                else:
                    office.report(worker, kind, content)

    async def printed(self, slot: int, incarnation: int, lines: list[str]) -> None:
        """Lines that a worker's code has printed."""
        self._office().chronicle.printed(slot, lines)

    async def died(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        """An agent has seen a worker's process end."""
        await self._office().died(slot, incarnation, facts)

    async def hung(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        """An agent has found a worker stuck, and killed it."""
        self._office().hung(slot, incarnation, facts)

    async def agent_done(self, who: str, count: int) -> None:
        self._office().patrol.agents.say_goodbye(who.removeprefix("agent-"), count)

    # -- inside --

    def _office(self) -> Office:
        self._unclaimed.cancel()
        self._parts.begin()
        if self._living is None:
            self._living = asyncio.get_running_loop().create_task(self._keep_time())
        return self._parts

    @contextlib.contextmanager
    def _no_fault_unsaid(self, office: Office) -> Iterator[None]:
        """The edge of this process: a fault is an end that says so, or the run would wait for ever."""
        try:
            yield
        except Exception as error:
            office.leading.end(End(error=as_gdist(error)))

    def _end_process(self) -> None:
        """For good: Ray starts no other in its place."""
        import ray

        with contextlib.suppress(Exception):
            ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
        leave_process()
