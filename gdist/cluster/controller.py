"""The controller: a small actor that leads a run. It decides nothing itself (course.py), computes nothing, imports no torch.

Workers and agents pull their orders from it and report to it; the driver follows it for news. It writes the run folder: events,
metrics, control and result. Everything runs on one event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from typing import Any

from gdist.cluster.agents import Agents
from gdist.cluster.charge import Charge, Outcome
from gdist.cluster.chronicle import Chronicle
from gdist.cluster.course import Ask, Course, End, Form, Instruction, Save
from gdist.cluster.death import open_process
from gdist.cluster.lease import end_unless_claimed, leave_process
from gdist.cluster.names import NAMESPACE, controller_name
from gdist.cluster.node_agent import EXIT_GRACE_S
from gdist.cluster.orders import Exit, Join, Kill, Mailbox, Order, SaveNow, WatchWorker, WishFor
from gdist.cluster.placement import release
from gdist.cluster.scratch import remove_scratch, scratch_path
from gdist.cluster.verdict import as_gdist, worker_lost
from gdist.cluster.vigil import Vigil
from gdist.errors import GdistError, from_dict
from gdist.records import Membership, Update, Wish, event
from gdist.worker.local import open_folder

AGENTS_AFTER_S = 5.0  # after the first worker, or at the first step: their start takes processor time from the workers' own
AGENT_SPEAKS_S = 5.0  # for an agent to start and say how a worker died
ANSWER_S = 1.0  # a pull with nothing to hand out is answered after this
DRIVER_LEASE_S = 20.0  # a terminal's run ends when its driver has been silent for this; on this machine its death is seen,
STOPPED_DRIVER_S = 300.0  # so that silence only means that it was stopped (Ctrl-Z)
TICK_S = 0.1
LEAVE_S = 3.0  # for workers and agents to end once the run is over
ABANDONED_S = 45.0  # for a run without a driver to save and end


class Controller:
    """One run's; an actor of asyncio."""

    def __init__(self, charge: Charge) -> None:
        if os.path.isdir(charge.folder):
            os.chdir(charge.folder)
        self._charge = charge
        given = charge.given and charge.order.purpose == "train"  # a step has its micro-batches; rows can be shared otherwise
        self._course = Course(charge.workers, given=given, now=time.monotonic())
        self._mail: dict[str, Mailbox] = {}
        self._posted = asyncio.Event()
        self._nodes: dict[str, str] = {}  # member -> its node, for workers
        self._agents = Agents(charge.run_id, reserved=charge.reserved)
        self._vigil = Vigil(scratch_path(charge.run_id), printed=self._printed_here, died=self.died)
        self._chronicle = Chronicle()
        self._outcome: Outcome | None = None
        self._driver_heard = time.monotonic()
        self._sees_driver = False
        self._orphaned_since: float | None = None
        self._closed = asyncio.Event()
        self._agents_due: float | None = None
        self._unclaimed = end_unless_claimed()

    # -- the driver --

    async def live(self) -> None:
        """Keeps time until the run is over and everybody gone."""
        self._unclaimed.cancel()
        if self._charge.driver_host == socket.gethostname():
            self._watch_driver()
        while not self._closed.is_set():
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self._vigil.read_output()
            self._apply(self._course.on_time(now=now))
            if self._agents_due is not None and (now > self._agents_due or self._chronicle.last_step):
                self._start_agents()
            if now - self._driver_heard > (STOPPED_DRIVER_S if self._sees_driver else DRIVER_LEASE_S):
                self._lose_driver("nothing was heard of it")
            if self._orphaned_since is not None and (self._outcome is not None or now - self._orphaned_since > ABANDONED_S):
                await self.close()
        await asyncio.sleep(0.02)  # the answer to close() is on its way
        leave_process()

    async def follow(self, after: int) -> tuple[list[Update], int, Outcome | None]:
        """News past number ``after``, the number of the last, and the outcome once there is one; waits for either a second."""
        self._driver_heard = time.monotonic()
        news, last = await self._chronicle.news(after, wait_s=0 if self._outcome else ANSWER_S)
        self._driver_heard = time.monotonic()
        return news, last, self._outcome

    async def ask(self, wish: Wish, reason: str) -> None:
        """Passes a wish on to the workers."""
        self._apply(self._course.on_wish(wish, reason, now=time.monotonic()))

    async def could_not_live(self, slot: int, error: GdistError) -> None:
        """The driver has heard from Ray that a worker is dead, or never came to life."""
        if not self._course.employs(slot):
            return
        if f"worker-{slot}" in self._nodes:  # it has lived: its agent knows more
            self._start_agents()
            await asyncio.sleep(AGENT_SPEAKS_S)
        self._apply(self._course.on_died(slot, error, now=time.monotonic()))

    async def abandon(self, reason: str) -> dict[str, Any]:
        """Ends the run at once, without a checkpoint; returns its result."""
        step = max(seat.step for seat in self._course.seats)
        if self._outcome is None:
            self._course.phase = "over"
            self._end(End(reason=reason, step=max(step, self._chronicle.last_step)))
        for slot in range(self._charge.workers):
            self._vigil.kill(slot)
        for agent in self._agents.names:
            self._post(agent, Kill(tuple(range(self._charge.workers))))
        assert self._outcome is not None
        return self._outcome.result or {}

    async def close(self) -> int:
        """Sends everybody home; returns once the agents have seen the last worker's process gone, or after a bound. Returns
        this process's pid: it ends next."""
        for slot in range(self._charge.workers):
            self._post(f"worker-{slot}", Exit())
        for agent in self._agents.names:
            self._post(agent, Exit())
        self._agents_due = None
        now = begun = time.monotonic()
        while (self._agents.at_work or self._vigil.workers) and now - begun < LEAVE_S:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            for slot in self._vigil.workers if now - begun > EXIT_GRACE_S else ():
                self._vigil.kill(slot)
        self._agents.dismiss_the_unborn()
        remove_scratch(self._charge.run_id)
        if self._charge.reserved:
            await asyncio.to_thread(release, self._charge.run_id)
        self._closed.set()
        return os.getpid()

    # -- workers and agents --

    async def pull(self, who: str, incarnation: int, after: int) -> list[tuple[int, Order]]:
        """The orders for ``who`` past number ``after``; waits a second for one."""
        if who.startswith("agent-") and self._agents.see(who) and who == f"agent-{_node_id()}":
            self._vigil.end()
        mail = self._mail.setdefault(who, Mailbox())
        deadline = time.monotonic() + ANSWER_S
        while not (orders := mail.after(after)) and (left := deadline - time.monotonic()) > 0:
            await _wait(self._posted, left)
        return orders

    async def tell(self, slot: int, incarnation: int, update: Update) -> None:
        """Events and lines of a worker."""
        self._note(update)

    async def printed(self, slot: int, incarnation: int, lines: list[str]) -> None:
        """Lines that a worker's code has printed."""
        self._chronicle.printed(slot, lines)

    def _printed_here(self, slot: int, incarnation: int, lines: list[str]) -> None:
        self._chronicle.printed(slot, lines)

    async def report(self, slot: int, incarnation: int, kind: str, content: dict[str, Any]) -> None:
        """What a worker has done: started, hello, returned, failed, saved."""
        now, course = time.monotonic(), self._course
        if kind != "started" and not course.employs(slot):
            return
        error = from_dict(content["error"]) if "error" in content else None
        if kind == "started":
            self._nodes[f"worker-{slot}"] = content["node"]
            watch, agent = WatchWorker(slot, incarnation, content["pid"], content["start_time"]), f"agent-{content['node']}"
            self._post(agent, watch)
            if content["host"] == socket.gethostname() and not self._agents.is_seen(agent):
                self._vigil.watch(watch)
            self._agents_due = self._agents_due or now + AGENTS_AFTER_S
        elif kind == "hello":
            self._apply(course.on_hello(slot, content, now=now))
        elif kind == "returned":
            self._apply(course.on_returned(slot, content["result"], now=now))
        elif kind == "failed":
            assert error is not None
            self._apply(course.on_failed(slot, error, content["step"], now=now))
        elif kind == "saved":
            self._apply(course.on_saved(slot, content["step"], error, now=now))

    async def died(self, slot: int, incarnation: int, facts: dict[str, Any]) -> None:
        """An agent has seen a worker's process end."""
        if self._course.employs(slot) and self._course.phase != "over" and self._course.seats[slot].state != "dead":
            if self._course.seats[slot].state != "returned":
                lost = {"worker": slot, "host": facts["host"], "cause": facts["cause"]}
                self._note(Update(events=[event("worker_lost", **lost)], worker=slot))
            self._apply(self._course.on_died(slot, worker_lost(slot, facts), now=time.monotonic()))

    async def agent_done(self, who: str) -> None:
        self._agents.say_goodbye(who)

    # -- inside --

    def _start_agents(self) -> None:
        import ray

        self._agents_due = None
        self._agents.start(self._nodes.values(), ray.get_runtime_context().current_actor)

    def _watch_driver(self) -> None:
        """Sees the death of a driver on this machine at once; else its silence tells."""
        pidfd = open_process(self._charge.driver_pid, self._charge.driver_started)
        if pidfd is None:
            return self._lose_driver("its process is gone")
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self._lose_driver("its process is gone")

        loop.add_reader(pidfd, gone)
        self._sees_driver = True

    def _lose_driver(self, how: str) -> None:
        if self._orphaned_since is None:
            self._orphaned_since = time.monotonic()
            self._apply(self._course.on_wish("stop", f"the terminal is gone: {how}", now=time.monotonic()))

    def _apply(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            try:
                self._do(instruction)
            except Exception as error:  # the edge of this process: an end that says so, or the run would wait for ever
                self._course.phase = "over"
                self._end(End(error=as_gdist(error)))

    def _do(self, instruction: Instruction) -> None:
        if isinstance(instruction, Form):
            self._form(instruction.workers)
        elif isinstance(instruction, Save):
            self._post(f"worker-{instruction.slot}", SaveNow())
        elif isinstance(instruction, Ask):
            for slot in range(self._charge.workers):
                self._post(f"worker-{slot}", WishFor(instruction.wish, instruction.reason))  # type: ignore[arg-type]
        else:
            self._end(instruction)

    def _form(self, workers: int) -> None:
        charge, seats = self._charge, self._course.seats
        try:
            folder = open_folder(charge.order, seats[0].hello["job"])
            generation = 1
            if folder is not None:
                generation = folder.last_generation() + 1
                folder.write_control(self._control())
        except GdistError as error:
            self._course.phase = "over"
            return self._end(End(error=error))
        self._chronicle.open(folder)
        run_dir = str(folder.path.resolve()) if folder is not None else None
        doors = tuple(tuple(seats[slot].hello["door"]) for slot in range(workers))
        secret, one_host = secrets.token_hex(16), len({door[0] for door in doors}) == 1
        for slot in range(workers):
            place = Membership(
                generation=generation, rank=slot, size=workers, run_dir=run_dir, doors=doors, secret=secret, one_host=one_host
            )  # fmt: skip
            self._post(f"worker-{slot}", Join(place))
        for slot in range(workers, charge.workers):
            self._post(f"worker-{slot}", Exit())

    def _control(self) -> dict[str, Any]:
        """``control.json``: how another terminal reaches the run."""
        charge = self._charge
        return {
            "address": charge.address,
            "namespace": NAMESPACE,
            "controller": controller_name(charge.run_id),
            "run_id": charge.run_id,
            "host": socket.gethostname(),
            "controller_pid": os.getpid(),
            "driver": {"host": charge.driver_host, "pid": charge.driver_pid},
            "workers": {k: {"host": s.hello["host"], "pid": s.hello["pid"]} for k, s in enumerate(self._course.seats)},
            "written": time.time(),
        }

    def _end(self, end: End) -> None:
        if self._outcome is not None:
            return
        self._vigil.read_output()
        result, error, chronicle = end.result, end.error, self._chronicle
        wall = time.time() - self._charge.order.started
        if error is None:
            run_dir = str(chronicle.folder.path) if chronicle.folder else None
            stopped = {"status": "stopped", "reason": end.reason, "steps": end.step, "run_dir": run_dir}
            result = {**(result or stopped), "workers": len(self._course.seats), "wall_seconds": wall}
        chronicle.end(result, error, step=end.step, wall_seconds=wall)
        error = error or chronicle.trouble
        self._outcome = Outcome(result if error is None else None, error)

    def _note(self, update: Update) -> None:
        self._chronicle.note(update)
        if self._chronicle.trouble is not None:
            self._apply(self._course.on_fault(self._chronicle.trouble, now=time.monotonic()))

    def _post(self, who: str, order: Order) -> None:
        self._mail.setdefault(who, Mailbox()).put(order)
        self._posted.set()
        self._posted.clear()  # those who wait now are woken; who comes later looks into its mailbox first


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


async def _wait(happened: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(happened.wait(), seconds)
