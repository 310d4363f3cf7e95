"""What the state machine decides, done: its instructions become orders, hirings, events, and in the end the run's outcome."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from gdist.cluster import memo
from gdist.cluster.charge import Charge, Outcome
from gdist.cluster.chronicle import Chronicle
from gdist.cluster.names import NAMESPACE, controller_name
from gdist.cluster.orders import Change, Exit, Join, Order, SaveNow, WishFor
from gdist.cluster.staff import Staff, Worker
from gdist.cluster.verdict import as_gdist, worker_lost
from gdist.errors import GdistError
from gdist.membership.events import Died, Event, Tick, Trouble
from gdist.membership.instructions import Ask, Dismiss, End, Form, Hire, Instruction, Kill, Save, Say
from gdist.membership.machine import Machine
from gdist.records import Membership, Update, event
from gdist.worker.local import open_folder

AGENT_SPEAKS_S = 5.0  # for whoever watches a worker's process to say how it died

Post = Callable[[str, Order], None]


class Leading:
    """``post`` puts an order into somebody's mailbox, ``kill`` ends a worker's process by whoever watches it."""

    def __init__(
        self, charge: Charge, machine: Machine, *, chronicle: Chronicle, staff: Staff, post: Post,
        kill: Callable[[Worker], None],
    ) -> None:  # fmt: skip
        self.machine = machine
        self.outcome: Outcome | None = None
        self.least, self.most = charge.least, charge.most
        self.why_killed: dict[Worker, str] = {}
        self.given_up: set[Worker] = set()  # they exit by themselves, or are killed
        self._gone: set[Worker] = set()
        self._in_force = machine.generation
        self._charge = charge
        self._chronicle = chronicle
        self._staff = staff
        self._post = post
        self._kill = kill

    def happened(self, what: Event) -> None:
        """Tells the machine, and does what follows."""
        now = time.monotonic()
        self._apply(self.machine.on(what, now=now))

    def tick(self) -> None:
        if time.monotonic() >= self.machine.wake_at:
            self.happened(Tick())

    def say(self, name: str, **fields: Any) -> None:
        self._chronicle.note(Update(events=[event(name, **fields)]))

    def end(self, end: End) -> None:
        """The run is over; its workers are still there."""
        if self.outcome is not None:
            return
        result, error, chronicle = end.result, end.error, self._chronicle
        wall = time.time() - self._charge.terms.order.started
        if error is None:
            run_dir = str(chronicle.folder.path) if chronicle.folder else None
            stopped = {"status": "stopped", "reason": end.reason, "steps": end.step, "run_dir": run_dir}
            workers = len(self.machine.members) or self._charge.first
            result = {**(result or stopped), "workers": workers, "wall_seconds": wall}
        chronicle.end(result, error, step=end.step, wall_seconds=wall)
        error = error or chronicle.trouble
        self.outcome = Outcome(result if error is None else None, error)

    def noticed(self, kind: str, content: dict[str, Any]) -> None:
        """A planned change is in force as soon as somebody has made it; until then the old generation's checkpoints count."""
        if kind == "entered" and content["generation"] > self._in_force:
            self._in_force = content["generation"]
            self.note_down()

    def take_up(self, noted: dict[str, Any]) -> None:
        """Another controller has led until now; ``noted`` by it."""
        self._in_force = noted["in_force"]
        self.given_up = {(slot, incarnation) for slot, incarnation in noted["given_up"]}
        self.say("controller", workers=sorted({slot for slot, _ in noted["workers"]}), seconds=time.time() - noted["at"])

    def lost(self, worker: Worker, facts: dict[str, Any], *, node: str | None) -> None:
        """A worker's process is gone. ``facts``: an agent's (vigil.py)."""
        self._staff.let_go(worker)
        self._gone.add(worker)
        cause = self.why_killed.pop(worker, None)
        if cause is not None:
            facts = {**facts, "cause": cause}
        if worker in self.given_up:
            self.given_up.discard(worker)
            return
        if self.outcome is not None or not (cause or self.machine.employs(*worker)):
            return
        seat = self.machine.seats.get(worker[0])
        if seat is None or seat.worker != worker or seat.state != "returned":
            step = facts.get("step") or self.machine.step
            told = {"host": facts["host"], "cause": facts["cause"], "step": step, "last_lines": facts["last_lines"][-5:]}
            self.say("worker_lost", worker=worker[0], **told)
        self.happened(Died(*worker, error=worker_lost(worker[0], facts), place=facts.get("place"), node=node))

    def hung(self, worker: Worker, facts: dict[str, Any]) -> None:
        """A worker was stuck, and was killed; its death is told next."""
        if self.machine.employs(*worker):
            self.say("hung", worker=worker[0], **facts)
            self.why_killed[worker] = f"killed, since it was stuck in {facts['phase']} for {facts['seconds']:.1f} s"

    async def gone(self, worker: Worker, error: GdistError, *, watched: bool) -> None:
        """Ray says that a worker is dead, or could not be made; who watches its process has a while to say more."""
        deadline = time.monotonic() + (AGENT_SPEAKS_S if watched else 0.0)
        while worker not in self._gone and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if worker not in self._gone:
            seat = self.machine.seats.get(worker[0])
            host = seat.hello.get("host") if seat is not None else None
            facts: dict[str, Any] = {
                "pid": None,
                "host": host,
                "cause": error.what,
                "note": error.note,
                "last_lines": [],
                "phase": None,
            }
            self.lost(worker, facts, node=None)

    def note_down(self) -> None:
        """What another controller would have to know, in Ray's store and in ``control.json``."""
        machine, folder = self.machine, self._chronicle.folder
        workers = sorted({*(seat.worker for seat in machine.seats.values()), *self._staff.handles, *self._staff.pending})
        memo.note(
            self._charge.terms.run_id,
            {
                "run_dir": str(folder.path.resolve()) if folder is not None else None,
                "opened": self._chronicle.opened,
                "generation": machine.generation,
                "in_force": self._in_force,
                "workers": workers,
                "at": time.time(),
                "least": self.least,
                "most": self.most,
                "given_up": sorted(self.given_up),
                "over": self.outcome is not None,
            },
        )
        if folder is not None:
            folder.write_control(self._control())

    def _apply(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            try:
                self._do(instruction)
            except GdistError as error:
                return self._apply(self.machine.on(Trouble(error), now=time.monotonic()))
            except Exception as error:  # the edge of this process: an end that says so, or the run would wait for ever
                return self.end(End(error=as_gdist(error)))

    def _do(self, instruction: Instruction) -> None:
        if isinstance(instruction, Hire):
            self._hire(instruction)
        elif isinstance(instruction, Form):
            self._form(instruction)
        elif isinstance(instruction, Save):
            self._post(f"worker-{instruction.slot}.{instruction.incarnation}", SaveNow(instruction.blame))
        elif isinstance(instruction, Ask):
            for slot, incarnation in self.machine.members:
                self._post(f"worker-{slot}.{incarnation}", WishFor(instruction.wish, instruction.reason))  # type: ignore[arg-type]
        elif isinstance(instruction, Say):
            self.say(instruction.name, **instruction.fields)
        elif isinstance(instruction, Dismiss):
            self.dismiss((instruction.slot, instruction.incarnation))
            self.note_down()
        elif isinstance(instruction, Kill):
            worker = (instruction.slot, instruction.incarnation)
            self.why_killed[worker] = instruction.reason
            self._kill(worker)
            self._staff.kill(worker)
        else:
            self.end(instruction)
            self.note_down()

    def dismiss(self, worker: Worker) -> None:
        """It exits by itself; who does not is killed."""
        if not self._staff.withdraw(worker):
            self.given_up.add(worker)
            self._post(f"worker-{worker[0]}.{worker[1]}", Exit())

    def _hire(self, hire: Hire) -> None:
        self._staff.hire((hire.slot, hire.incarnation), avoid=hire.avoid, folder=self._chronicle.folder)
        if self._chronicle.opened:
            self.note_down()

    def _form(self, form: Form) -> None:
        seats, chronicle = self.machine.seats, self._chronicle
        if not chronicle.opened:
            chronicle.open(open_folder(self._charge.terms.order, seats[form.workers[0][0]].hello["job"]))
        folder = chronicle.folder
        doors = tuple(tuple(seats[slot].hello["door"]) for slot, _ in form.workers)
        place: dict[str, Any] = {
            "generation": form.generation,
            "size": len(form.workers),
            "run_dir": str(folder.path.resolve()) if folder is not None else None,
            "doors": doors,
            "secret": secrets.token_hex(16),
            "workers": form.workers,
            "source": form.source,
            "restore": form.restore,
            "one_host": len({door[0] for door in doors}) == 1,
            "reason": form.reason,
            "skip": form.skip,
        }
        if not form.planned:
            self._in_force = form.generation
        self.note_down()  # before anybody acts in it: what is written for an older one is refused from now on
        members = self.machine.members if form.planned else ()
        for rank, worker in enumerate(form.workers):
            order = Change if worker in members else Join
            self._post(f"worker-{worker[0]}.{worker[1]}", order(Membership(rank=rank, **place)))
        for slot, incarnation in form.leaving:
            self._post(f"worker-{slot}.{incarnation}", Change(Membership(rank=-1, **place)))

    def _control(self) -> dict[str, Any]:
        """``control.json``: how another terminal reaches the run, and which generation is in force."""
        charge, machine = self._charge, self.machine
        seats = {seat.slot: seat for seat in machine.seats.values() if seat.hello}
        return {
            "address": charge.address,
            "namespace": NAMESPACE,
            "controller": controller_name(charge.terms.run_id),
            "run_id": charge.terms.run_id,
            "host": socket.gethostname(),
            "controller_pid": os.getpid(),
            "driver": {"host": charge.driver_host, "pid": charge.driver_pid},
            "generation": self._in_force,
            "workers": {
                slot: {"incarnation": seat.incarnation, "host": seat.hello["host"], "pid": seat.hello["pid"]}
                for slot, seat in sorted(seats.items())
            },
            "written": time.time(),
        }
