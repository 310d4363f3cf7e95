"""Simulated generations, as the network joins their members.

A generation is entered once all its members have come; those that are behind are given the source's state. A step is computed
by all members, and committed by each a moment later: when one dies in between, chance decides which of the others still commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.membership import events as ev
from gdist.membership import instructions as do
from tests.membership.invariants import look_at_commit
from tests.membership.workers import Violation, Worker

if TYPE_CHECKING:
    from tests.membership.simulator import Simulation

CONNECT_S = 15.0  # until a worker gives up on peers that do not come
STEP_S = 0.1


class Group:
    """The members of one generation, as the network joins them."""

    def __init__(self, sim: Simulation, form: do.Form) -> None:
        self.sim, self.form = sim, form
        self.here: list[Worker] = []
        self.is_lost = False
        self.open: list[Worker] = []  # members that have not committed the step under way

    def place(self, worker: Worker) -> tuple[int, int, int]:
        share = self.sim.micro_batches // len(self.form.workers)
        first = self.form.workers.index(worker.who) * share
        return (worker.step or 0) + 1, first, first + share

    def arrive(self, worker: Worker) -> None:
        sim = self.sim
        sim.at(CONNECT_S, sim.when_awake(worker, lambda: self.give_up(worker)))
        gone = any((w := sim.workers.get(who)) is None or not w.alive or w.generation > self.form.generation
                   for who in self.form.workers)  # fmt: skip
        self.here.append(worker)
        if self.is_lost or gone:
            return self.lose(None)
        if len(self.here) == len(self.form.workers):
            sim.at(0.02 * sim.random.random(), self.hand_over)

    def give_up(self, worker: Worker) -> None:
        if worker.group is self and worker.state == "forming":
            self.lose(worker)
            worker.broken()

    def lose(self, worker: Worker | None) -> None:
        """A member is gone, or has gone elsewhere: the others notice, each in its time."""
        sim = self.sim
        self.is_lost = True
        if worker in self.here:
            self.here.remove(worker)
        here, self.here, open_, self.open = self.here, [], self.open, []
        for other in here:
            if other in open_ and other.alive and sim.random.random() < 0.5 and worker not in open_:
                self.commit(other, goes_on=False)
            if other.group is self:
                sim.at(sim.delay(), sim.when_awake(other, lambda other=other: other.broken() if other.group is self else None))

    def hand_over(self) -> None:
        if self.is_lost:
            return
        sim, form = self.sim, self.form
        self.here.sort(key=lambda worker: form.workers.index(worker.who))
        if form.source is None:
            sim.epoch += 1
            begun = sim.newest_good() if form.restore else ()
            for worker in self.here:
                worker.history, worker.epoch = begun, sim.epoch
        else:
            source = self.here[form.source]
            if source.history is None:
                raise Violation(f"the source {source.who} of generation {form.generation} has no state")
            for other in sim.workers.values():
                if other.alive and not other.fenced and other.history is not None and len(other.history) > len(source.history):
                    raise Violation(f"worker {other.who} is further than the source of generation {form.generation}")
        for rank, worker in enumerate(self.here):
            sim.at(0.03 * sim.random.random() * (rank + 1), sim.when_awake(worker, lambda worker=worker: self.whole(worker)))

    def whole(self, worker: Worker) -> None:
        """The worker has the state of the source, if that has lived so long."""
        if self.is_lost or worker.group is not self:
            return
        if self.form.source is not None:
            source = self.here[self.form.source]
            if worker is not source and (worker.history is None or len(worker.history) < len(source.history or ())):
                worker.history = source.history
        worker.state = "training"
        worker.report(ev.Entered(*worker.who, self.form.generation, worker.step or 0))
        if all(other.state == "training" for other in self.here):
            self.begin_step()

    def begin_step(self) -> None:
        sim = self.sim
        lowest = {worker.step for worker in self.here}
        if len(lowest) != 1:
            raise Violation(f"the members of generation {self.form.generation} begin a step at {lowest}")
        if self.here[0].step == sim.steps:  # formed again at the very end
            for worker in list(self.here):
                worker.at_boundary(None, True)
            return
        numbers = {worker.next.generation if worker.next is not None else 0 for worker in self.here}
        agreed = self.here[0].next if len(numbers) == 1 else None
        stops = any(worker.stops for worker in self.here)
        sim.at(STEP_S * (0.5 + sim.random.random()), lambda: self.reduce(agreed, stops))

    def reduce(self, agreed: do.Form | None, stops: bool) -> None:
        if self.is_lost:
            return
        sim = self.sim
        for worker in list(self.here):
            if worker.stopped:  # the others wait
                worker.later.append(lambda: self.reduce(agreed, stops))
                return
            step, first, end = self.place(worker)
            if (step, sim.poison) in [(sim.poison_step, part) for part in range(first, end)] and not self.skips(step):
                sim.poisonings += 1
                return worker.die()
        self.open = list(self.here)
        for worker in self.here:
            committing = sim.when_awake(worker, lambda worker=worker: self.commit(worker, agreed=agreed, stops=stops))
            sim.at(0.01 * sim.random.random(), committing)

    def skips(self, step: int) -> bool:
        return any(skipped == step and first <= self.sim.poison < end for skipped, first, end in self.form.skip)

    def commit(self, worker: Worker, *, agreed: do.Form | None = None, stops: bool = False, goes_on: bool = True) -> None:
        if goes_on and (worker not in self.open or worker.group is not self):
            return
        if worker in self.open:
            self.open.remove(worker)
        assert worker.history is not None
        worker.history = (*worker.history, self.form.generation)
        sim = self.sim
        look_at_commit(sim, worker)
        if len(worker.history) % 4 == 0 and worker.who == self.form.workers[0]:
            sim.write_checkpoint(worker.history)
        if not goes_on:
            return
        if worker.at_boundary(agreed, stops):
            if not self.open and not self.is_lost and all(w.state == "training" for w in self.here):
                self.begin_step()
        elif worker in self.here:
            self.here.remove(worker)
