"""Which faults a schedule has, when, and whom they hit; each is entered with the phase that it found its victim in."""

from __future__ import annotations

from collections.abc import Callable

from gdist.membership import events as ev
from tests.membership.simulator import HEAL_S, Simulation
from tests.membership.workers import Worker

KINDS = (
    "kill",
    "kill two",
    "kill all",
    "vanish",
    "stop",
    "leave",
    "drain node",
    "scale",
    "controller",
    "fail",
    "wish",
    "refuse",
    "unlike",
)
PHASES = ("starting", "forming", "training", "changing", "broken", "waiting", "taking up", "returned")


def plan_faults(sim: Simulation) -> None:
    rng = sim.random
    if rng.random() < 0.05:
        sim.poison_step, sim.poison = rng.randint(1, sim.steps), rng.randrange(sim.micro_batches)
    count = rng.choice((0, 1, 2, 3, 4, 6))
    time = rng.choice((0.0, 2.5))
    for _ in range(count):
        time = min(time + rng.expovariate(1 / rng.choice((0.03, 0.3, 2.0))), HEAL_S)
        kind = rng.choices(KINDS, weights=(6, 2, 1, 1, 3, 2, 1, 3, 2, 1, 0.5, 1, 1))[0]
        sim.at(time, lambda kind=kind: inject(sim, kind))


def inject(sim: Simulation, kind: str) -> None:
    if sim.machine is None or sim.end is not None:
        return
    living = [worker for worker in sim.workers.values() if worker.alive and worker.born]
    sim.tell(f"fault: {kind}, {phase(sim)}")
    if kind == "controller":
        mark(sim, kind)
        return sim.kill_controller()
    if kind == "fail":
        able = [worker for worker in living if worker.state == "training" and not worker.stopped and worker.group is not None]
        return hit(sim, kind, able, Worker.fail)
    if kind == "wish":
        mark(sim, kind)
        return sim.hear(ev.WishRaised("stop", "asked"))
    if kind == "refuse":
        able = [worker for worker in living if worker.state in ("preparing", "ready") and not worker.stopped]
        return hit(sim, kind, able, Worker.refuse)
    if kind == "unlike":
        mark(sim, kind)
        return sim.change_node()
    if kind == "scale":
        sim.refused.clear()
        least = sim.random.randint(1, min(3, sim.micro_batches))
        mark(sim, kind)
        sim.least, sim.most = least, sim.random.randint(least, min(4, sim.micro_batches))
        return sim.hear(ev.Scale(sim.least, sim.most))
    if not living:
        return
    mark(sim, kind)
    if kind == "drain node":
        node = sim.random.choice(living).node
        victims = [worker for worker in living if worker.node == node]
        sim.hear(ev.DrainNode(node, "drained"))
        return later(sim, victims, 8.0, Worker.die)
    victims = living if kind == "kill all" else sim.random.sample(living, min(2 if kind == "kill two" else 1, len(living)))
    for victim in victims:
        if kind.startswith("kill"):
            victim.die()
        elif kind == "vanish":
            victim.die(silently=True)
        elif kind == "stop":
            victim.stop()
            if sim.random.random() < 0.5:
                sim.at(sim.random.random() * 3, victim.go_on)
        else:
            sim.hear(ev.Leaving(victim.slot, victim.incarnation, "SIGTERM"))
            if sim.random.random() < 0.7:  # else it is patient
                later(sim, [victim], 3.0, Worker.die)


def hit(sim: Simulation, kind: str, able: list[Worker], what: Callable[[Worker], None]) -> None:
    if able:
        mark(sim, kind)
        what(sim.random.choice(able))


def later(sim: Simulation, victims: list[Worker], seconds: float, what: Callable[[Worker], None]) -> None:
    for victim in victims:
        sim.at(seconds * sim.random.random() + 0.5, lambda victim=victim: what(victim))


def phase(sim: Simulation) -> str:
    assert sim.machine is not None
    name = sim.machine.phase
    if name == "training":
        if any(worker.alive and worker.state == "returned" for worker in sim.workers.values()):
            return "returned"
        if sim.machine.is_changing:
            return "changing"
    return name


def mark(sim: Simulation, kind: str) -> None:
    sim.reached.add((kind, phase(sim)))
