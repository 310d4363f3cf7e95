"""Simulated workers: what the real ones do on orders and in need, without their work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gdist.errors import UserCodeError, WorkerLost
from gdist.membership import events as ev
from gdist.membership import instructions as do

if TYPE_CHECKING:
    from tests.membership.groups import Group
    from tests.membership.simulator import Simulation

HANG_S = 2.0  # until a stopped worker is killed

State = Literal["preparing", "ready", "forming", "training", "broken", "left", "returned", "failed"]


class Violation(AssertionError):
    """An invariant does not hold."""


class Worker:
    """One process. ``history``: of each step that its state has seen, the generation that committed it; None: no state."""

    def __init__(self, sim: Simulation, slot: int, incarnation: int, node: str) -> None:
        self.sim, self.slot, self.incarnation, self.node = sim, slot, incarnation, node
        self.proof = "theirs" if node in sim.unlike else "ours"
        self.state: State = "preparing"
        self.alive, self.stopped, self.fenced = True, False, False
        self.history: tuple[int, ...] | None = None
        self.epoch = 0
        self.generation = 0
        self.group: Group | None = None
        self.next: do.Form | None = None
        self.stops = False
        self.result: dict[str, object] | None = None
        self.error: UserCodeError | None = None
        self.later: list = []
        self.heard_until = 0.0
        self.pulls_at = 0.0
        self.born = False
        self.known_to = 0  # the controller that watches it

    @property
    def who(self) -> do.Worker:
        return self.slot, self.incarnation

    @property
    def step(self) -> int | None:
        return None if self.history is None else len(self.history)

    @property
    def hello(self) -> dict[str, object]:
        return {
            "micro_batches": self.sim.micro_batches, "poisoned": self.sim.poisoned, "host": self.node, "node": self.node,
            "proof": {"code": self.proof},
        }  # fmt: skip

    # -- its life --

    def live(self) -> None:
        self.born, self.known_to = True, self.sim.controller
        self.report(ev.Placed(*self.who, node=self.node))
        self.sim.at(0.5 + 2 * self.sim.random.random(), self.sim.when_awake(self, self.prepared))

    def prepared(self) -> None:
        self.state = "ready"
        self.report(ev.Ready(*self.who, hello=self.hello))

    def report(self, event: ev.Event) -> None:
        """In order for the first time; perhaps a second time, later. Lost with the controller that it was sent to."""
        sim = self.sim
        controller = sim.controller
        self.heard_until = max(self.heard_until + 1e-6, sim.now + sim.delay())  # in order, whatever the delays

        def deliver() -> None:
            if controller == sim.controller:
                sim.hear(event)

        sim.at(self.heard_until - sim.now, deliver)
        if sim.random.random() < 0.1:
            sim.at(self.heard_until - sim.now + 0.3 * sim.random.random(), deliver)

    def stand(self) -> None:
        """To a new controller: where it stands."""
        if self.born:
            self.known_to = self.sim.controller
            names = self.sim.groups[self.generation].form.workers if self.generation else ()
            hello = {} if self.state == "preparing" else self.hello
            self.report(ev.Retaken(*self.who, self.state, self.generation, self.step, names, hello, self.result, self.error))

    def order_lost(self) -> None:
        self.pulls_at = 0.0

    def exit(self) -> None:
        if self.alive:
            self.fenced = True
            self.vanish()

    def fail(self) -> None:
        """By its own doing, in a step."""
        if self.alive and not self.stopped and self.state == "training" and self.group is not None and self.sim.end is None:
            self.sim.failed = True
            group, self.group, self.state = self.group, None, "failed"
            self.error = UserCodeError("theirs")
            self.report(ev.Failed(*self.who, self.generation, self.step, self.error))
            group.lose(self)

    def refuse(self) -> None:
        """Its job or its data is not what it should be, before it is a member."""
        self.sim.failed = True
        self.state = "failed"
        self.error = UserCodeError("theirs, before it began")
        self.report(ev.Failed(*self.who, 0, None, self.error))

    def die(self, *, silently: bool = False) -> None:
        """By SIGKILL: its watch reports it, with what its page says; or its whole machine is gone, which is found out late."""
        if not self.alive:
            return
        sim = self.sim
        sim.deaths += 1
        place = self.group.place(self) if self.group is not None and self.state == "training" else None
        died = ev.Died(*self.who, WorkerLost("lost"), place, self.node)
        self.vanish()
        self.watch(died, after=20 * self.sim.random.random() if silently else 0.01)

    def watch(self, died: ev.Died, *, after: float) -> None:
        sim = self.sim

        def seen() -> None:
            if sim.machine is not None and self.known_to == sim.controller:
                sim.hear(died)

        sim.at(after + sim.delay(), seen)

    def vanish(self) -> None:
        self.alive = False
        if self.group is not None:
            self.group.lose(self)

    def stop(self) -> None:
        if self.alive and not self.stopped:
            self.stopped = True
            self.sim.at(HANG_S, self.hung)

    def hung(self) -> None:
        if self.alive and self.stopped:
            self.die()

    def go_on(self) -> None:
        if self.alive and self.stopped:
            self.stopped = False
            later, self.later = self.later, []
            for act in later:
                act()

    # -- orders --

    def wish(self, wish: str) -> None:
        self.stops = self.stops or wish in ("stop", "drain")

    def change(self, form: do.Form) -> None:
        if form.generation > self.generation and (self.next is None or form.generation > self.next.generation):
            self.next = form
            if self.state in ("ready", "preparing"):
                self.join(form)

    def join(self, form: do.Form) -> None:
        if form.generation <= self.generation:
            return
        if self.state == "training":
            raise Violation(f"worker {self.who} is told to join generation {form.generation} while it trains")
        self.enter(form)

    def enter(self, form: do.Form) -> None:
        if self.group is not None:
            self.group.lose(self)
        self.generation, self.state = form.generation, "forming"
        if self.next is not None and self.next.generation <= form.generation:
            self.next = None
        self.group = self.sim.groups[form.generation]
        self.group.arrive(self)

    def broken(self) -> None:
        if self.alive and self.state in ("forming", "training"):
            self.state, self.group = "broken", None
            self.report(ev.Broken(*self.who, self.generation, self.step))

    def finish(self) -> None:
        """The last checkpoint is written."""
        steps = self.step or 0
        self.state, self.result = "returned", {"steps": steps, "stopped": steps < self.sim.steps}
        self.report(ev.Returned(*self.who, self.generation, steps, self.result))

    def at_boundary(self, agreed: do.Form | None, stops: bool) -> bool:
        """After a commit. Returns whether the next step may follow."""
        assert self.history is not None
        ended = stops or len(self.history) >= self.sim.steps
        if ended and (self.sim.stop_first or agreed is None):
            self.group = None
            self.sim.at(0.5 * self.sim.random.random(), self.sim.when_awake(self, self.finish))
            return False
        if agreed is None:
            return True
        old, self.group = self.generation, None
        if self.who in agreed.workers:
            self.enter(agreed)
        else:
            self.state = "left"
            self.report(ev.Left(*self.who, old, len(self.history)))
        return False
