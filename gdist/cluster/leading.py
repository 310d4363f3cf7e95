"""What the state machine decides, done: its instructions become orders, hirings, events, and in the end the run's outcome."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from gdist.cluster.charge import Charge, Outcome
from gdist.cluster.chronicle import Chronicle
from gdist.cluster.orders import Change, Exit, Join, Order, SaveNow, WishFor
from gdist.cluster.staff import Staff
from gdist.cluster.verdict import as_gdist
from gdist.errors import GdistError
from gdist.membership.events import Event, Tick, Trouble
from gdist.membership.instructions import Ask, Dismiss, End, Form, Hire, Instruction, Kill, Save, Say, Worker
from gdist.membership.machine import Machine
from gdist.records import Membership, Update, event
from gdist.worker.local import open_folder

Post = Callable[[str, Order], None]


class Leading:
    """``post`` puts an order into somebody's mailbox, ``kill`` ends a worker's process by whoever watches it,
    ``note_down`` tells whoever may have to take the run up (notes.py)."""

    def __init__(
        self, charge: Charge, machine: Machine, *, chronicle: Chronicle, staff: Staff, post: Post,
        kill: Callable[[Worker], None], note_down: Callable[[], None],
    ) -> None:  # fmt: skip
        self.machine = machine
        self.outcome: Outcome | None = None
        self.least, self.most = charge.least, charge.most
        self.why_killed: dict[Worker, str] = {}
        self.given_up: set[Worker] = set()  # they exit by themselves, or are killed
        self.in_force = machine.generation  # the newest that somebody acts in
        self._charge = charge
        self._chronicle = chronicle
        self._staff = staff
        self._post = post
        self._kill = kill
        self._note_down = note_down

    def happened(self, what: Event) -> None:
        """Tells the machine, and does what follows."""
        now = time.monotonic()
        self._apply(self.machine.on(what, now=now))

    @property
    def step(self) -> int:
        """The last of which the metric line is in the run's folder: not more than about a second behind."""
        return self._chronicle.written.step

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
        step = chronicle.saved_step() if end.step is None else end.step
        wall = time.time() - self._charge.terms.order.started
        if error is None:
            run_dir = str(chronicle.folder.path) if chronicle.folder else None
            stopped = {"status": "stopped", "reason": end.reason, "steps": step, "run_dir": run_dir}
            workers = len(self.machine.members) or self._charge.first
            result = {**(result or stopped), "workers": workers, "wall_seconds": wall}
        chronicle.end(result, error, step=step, wall_seconds=wall)
        error = error or chronicle.trouble
        self.outcome = Outcome(result if error is None else None, error)

    def noticed(self, kind: str, content: dict[str, Any]) -> None:
        """A planned change is in force as soon as somebody has made it; until then the old generation's checkpoints count."""
        if kind == "entered" and content["generation"] > self.in_force:
            self.in_force = content["generation"]
            self._note_down()

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
            members = self.machine.members
            # one is enough, and the leader knows the reason that it says then; all leave for a drain, whoever of them lives
            for slot, incarnation in members if instruction.wish == "drain" else members[:1]:
                self._post(f"worker-{slot}.{incarnation}", WishFor(instruction.wish, instruction.reason))  # type: ignore[arg-type]
        elif isinstance(instruction, Say):
            self.say(instruction.name, **instruction.fields)
        elif isinstance(instruction, Dismiss):
            self.dismiss((instruction.slot, instruction.incarnation))
            self._note_down()
        elif isinstance(instruction, Kill):
            worker = (instruction.slot, instruction.incarnation)
            self.why_killed[worker] = instruction.reason
            self._kill(worker)
        else:
            self.end(instruction)
            self._note_down()

    def dismiss(self, worker: Worker) -> None:
        """It exits by itself; who does not is killed."""
        if not self._staff.withdraw(worker):
            self.given_up.add(worker)
            self._post(f"worker-{worker[0]}.{worker[1]}", Exit())

    def _hire(self, hire: Hire) -> None:
        self._staff.hire((hire.slot, hire.incarnation), avoid=hire.avoid, folder=self._chronicle.folder)
        if self._chronicle.opened:
            self._note_down()

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
            self.in_force = form.generation
        self._note_down()  # before anybody acts in it: what is written for an older one is refused from now on
        members = self.machine.members if form.planned else ()
        for rank, worker in enumerate(form.workers):
            order = Change if worker in members else Join
            self._post(f"worker-{worker[0]}.{worker[1]}", order(Membership(rank=rank, **place)))
        for slot, incarnation in form.leaving:
            self._post(f"worker-{slot}.{incarnation}", Change(Membership(rank=-1, **place)))
