"""A run in one thread and in virtual time: the real state machine, workers as they behave, and a network that is not kind.

    python -m tests.membership.simulator SEED        one schedule, told event by event

Workers act on orders (join, change, exit) and report; a report is late, comes twice, or again much later, but never before an
earlier one of the same worker for the first time. A step completes on some and not on others when a member dies in it. After
each commit and each forming the invariants are looked at; a violation raises ``Violation``. Faults stop at ``HEAL_S``; then the
run must come to its end.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections.abc import Callable
from typing import Any

from gdist.errors import WorkerLost
from gdist.membership import events as ev
from gdist.membership import instructions as do
from gdist.membership.machine import Machine
from gdist.membership.state import Kept
from tests.membership.groups import Group
from tests.membership.invariants import look_at_end, look_at_form
from tests.membership.workers import Violation, Worker

NODES = ("node-0", "node-1", "node-2")
HEAL_S = 12.0  # virtual: no fault after this
END_S = 2000.0  # virtual: the run must be over by then
LOST = WorkerLost("lost")
_METHODS = {do.Hire: "hire", do.Dismiss: "dismiss", do.Kill: "kill", do.Form: "form", do.Save: "save", do.Ask: "ask",
            do.Say: "say", do.End: "over"}  # fmt: skip


class Simulation:
    """``machine``: the class under test. ``told``: is called with a line for each thing that happens."""

    def __init__(self, seed: int, *, machine: type[Machine] = Machine, told: Callable[[str], None] | None = None) -> None:
        self.random = rng = random.Random(seed)
        self.make, self.told = machine, told
        self.now = 0.0
        self.queue: list[tuple[float, float, Callable[[], None]]] = []
        self.micro_batches = rng.choice((2, 4, 4, 8))
        self.least = rng.randint(1, min(3, self.micro_batches))
        self.most = rng.randint(self.least, min(4, self.micro_batches))
        self.steps = rng.choice((6, 20, 60, 120))
        self.stop_first = rng.random() < 0.5  # whether the end or a change comes first where both are due
        self.room = 0.3 if rng.random() < 0.8 else 4.0  # s, at most, until a hired worker has its place
        self.poison_step, self.poison = 0, -1  # the micro-batch of that step kills whoever computes it
        self.poisoned, self.poisonings = rng.choice(("stop", "skip")), 0
        self.kept: Kept | None = None  # as the controller has noted it
        self.unlike: set[str] = set()  # nodes whose new workers are not like the others
        self.refused: set[str] = set()  # nodes of whom the machine knows that
        self.workers: dict[do.Worker, Worker] = {}
        self.groups: dict[int, Group] = {}
        self.checkpoints: list[tuple[int, ...]] = []  # of each of their steps, the generation that committed it
        self.epoch = 0
        self.announced = 0  # the newest generation in the run folder
        self.machine: Machine | None = None
        self.controller = 0  # which one, counted
        self.wake = float("inf")
        self.end: do.End | None = None
        self.reached: set[tuple[str, str]] = set()
        self.deaths = 0
        self.failed = False  # somebody's code has
        self.generations = 0
        self.start_controller(taking_up=0)

    # -- time --

    def at(self, delay: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + delay, self.random.random(), what))

    def run(self) -> do.End:
        while self.end is None:
            if not self.queue:
                raise Violation("progress: nothing will ever happen, and the run is not over")
            self.now, _, what = heapq.heappop(self.queue)
            if self.now > END_S:
                phase = self.machine.phase if self.machine else "no controller"
                raise Violation(f"progress: the run is not over long after the last fault ({phase})")
            what()
        look_at_end(self, self.end)
        return self.end

    def tell(self, text: str) -> None:
        if self.told is not None:
            self.told(f"{self.now:8.3f} {text}")

    # -- the controller --

    def start_controller(self, *, taking_up: int) -> None:
        self.controller += 1
        self.machine = self.make(
            least=self.least, most=self.most, given=False, generation=self.announced, taking_up=taking_up, kept=self.kept,
            now=self.now,
        )  # fmt: skip
        self.obey(self.machine.on(ev.Tick(), now=self.now))
        if taking_up:
            for worker in list(self.workers.values()):
                if worker.alive:
                    worker.order_lost()
                    worker.heard_until = self.now
                    for pull in range(3):
                        self.at(self.random.random() + pull, self.when_awake(worker, worker.stand))

    def kill_controller(self) -> None:
        self.tell("the controller is killed")
        self.kept = self.machine.to_keep if self.machine is not None else None
        self.machine, self.wake = None, float("inf")
        self.refused.clear()
        times = self.controller
        self.at(1 + 2 * self.random.random(), lambda: self.start_controller(taking_up=times))

    def hear(self, event: ev.Event) -> None:
        if self.machine is None or self.end is not None:
            return
        self.tell(f"  -> {event}")
        if isinstance(event, ev.Retaken) and not self.known(worker := self.workers[event.slot, event.incarnation]):
            worker.fenced = True
            return self.send(*worker.who, Worker.exit)
        self.obey(self.machine.on(event, now=self.now))

    def known(self, worker: Worker) -> bool:
        """Whether the machine knows of the worker, or would take it up."""
        return self.machine is not None and self.machine.employs(*worker.who)

    def obey(self, instructions: list[do.Instruction]) -> None:
        assert self.machine is not None
        for instruction in instructions:
            self.tell(f"     {instruction}")
            getattr(self, _METHODS[type(instruction)])(instruction)
        if self.machine is not None and self.end is None and self.machine.wake_at < self.wake:
            self.wake = self.machine.wake_at
            due, controller = max(self.wake - self.now, 0.0) + 1e-6, self.controller
            self.at(due, lambda: self.tick(controller))

    def tick(self, controller: int) -> None:
        if controller == self.controller:
            self.wake = float("inf")
            self.hear(ev.Tick())

    # -- instructions --

    def hire(self, order: do.Hire) -> None:
        who = order.slot, order.incarnation
        if who in self.workers:
            raise Violation(f"{who} was hired twice")
        if not self.refused <= set(order.avoid):
            raise Violation(f"{who} may come to a node whose worker was refused: {self.refused}")
        usual = f"node-{order.slot % 2}"
        node = min([each for each in NODES if each not in order.avoid] or NODES, key=lambda each: (each != usual, each))
        worker = self.workers[who] = Worker(self, *who, node)
        self.at(self.room * self.random.random(), self.when_awake(worker, worker.live))

    def dismiss(self, order: do.Dismiss) -> None:
        self.send(order.slot, order.incarnation, Worker.exit)
        if worker := self.workers.get((order.slot, order.incarnation)):
            worker.fenced = True

    def kill(self, order: do.Kill) -> None:
        worker = self.workers.get((order.slot, order.incarnation))
        if worker is not None:
            worker.fenced = True
            self.at(0.5 * self.random.random(), worker.die)

    def form(self, order: do.Form) -> None:
        look_at_form(self, order)
        self.announced = order.generation
        self.generations += 1
        self.groups[order.generation] = Group(self, order)
        for who in (*order.workers, *order.leaving):
            self.send(*who, lambda worker: worker.change(order) if order.planned else worker.join(order))

    def save(self, order: do.Save) -> None:
        worker = self.workers[order.slot, order.incarnation]
        samples = ("row 7",) if order.blame else ()
        answer = ev.Saved(order.slot, order.incarnation, len(worker.history or ()), samples=samples)
        self.send(order.slot, order.incarnation, lambda worker: worker.report(answer))

    def ask(self, order: do.Ask) -> None:
        for who in self.machine.members if self.machine else ():
            self.send(*who, lambda worker: worker.wish(order.wish))

    def say(self, order: do.Say) -> None:
        if order.name == "worker_refused" and order.fields["host"] is not None:
            self.refused.add(order.fields["host"])

    def over(self, order: do.End) -> None:
        self.end = order

    def send(self, slot: int, incarnation: int, what: Callable[[Worker], Any]) -> None:
        """An order lies in a mailbox until the worker pulls it; the mailbox dies with the controller."""
        worker = self.workers.get((slot, incarnation))
        if worker is None:
            return
        controller = self.controller
        due = worker.pulls_at = max(worker.pulls_at, self.now + self.delay())

        def pulled() -> None:
            if self.machine is not None and controller == self.controller:
                what(worker)

        self.at(due - self.now, self.when_awake(worker, pulled))

    # -- the world --

    def change_node(self) -> None:
        """Somebody installs something else on a node: its next workers are not like the others."""
        if not self.unlike:
            self.unlike.add(self.random.choice(NODES[:2]))

    def write_checkpoint(self, history: tuple[int, ...]) -> None:
        """The disk may be full."""
        if (not self.checkpoints or len(history) > len(self.checkpoints[-1])) and self.random.random() < 0.9:
            self.checkpoints.append(history)

    def newest_good(self) -> tuple[int, ...]:
        """The newest checkpoint that is neither torn nor altered."""
        while self.checkpoints and self.now < HEAL_S and self.random.random() < 0.15:
            self.checkpoints.pop()
        return self.checkpoints[-1] if self.checkpoints else ()

    def delay(self) -> float:
        return self.random.random() * (0.004 if self.random.random() < 0.9 else 0.4)

    def when_awake(self, worker: Worker, what: Callable[[], Any]) -> Callable[[], None]:
        """What a stopped worker does once it goes on, and a dead one never."""

        def act() -> None:
            if not worker.alive:
                return
            if worker.stopped:
                worker.later.append(act)
            else:
                what()

        return act


def simulate(seed: int, *, machine: type[Machine] = Machine, told: Callable[[str], None] | None = None) -> Simulation:
    from tests.membership.faults import plan_faults

    simulation = Simulation(seed, machine=machine, told=told)
    plan_faults(simulation)
    simulation.run()
    return simulation


if __name__ == "__main__":
    print(simulate(int(sys.argv[1]), told=print).end)  # noqa: T201
