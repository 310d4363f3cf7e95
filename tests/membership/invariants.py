"""What must hold whatever happens; a violation says what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.errors import UserCodeError
from gdist.membership import instructions as do
from tests.membership.workers import Violation, Worker

if TYPE_CHECKING:
    from tests.membership.simulator import Simulation


def look_at_form(sim: Simulation, order: do.Form) -> None:
    """Before the generation is announced."""
    if order.generation <= sim.announced:
        raise Violation(f"generation {order.generation} was announced after {sim.announced}")
    if len(order.workers) > sim.micro_batches:
        raise Violation("more members than micro-batches")
    if len({sim.workers[who].proof for who in order.workers}) > 1:
        raise Violation(f"workers that are not alike are members of generation {order.generation}")
    if order.source is None and any(w.alive and not w.fenced and w.history and sim.known(w) for w in sim.workers.values()):
        raise Violation("the state of a living worker is thrown away")
    if order.source is None and not order.restore and sim.checkpoints:
        raise Violation("the run begins anew although it has a checkpoint")


def look_at_commit(sim: Simulation, worker: Worker) -> None:
    """After ``worker`` has committed a step."""
    history = worker.history
    assert history is not None
    step = len(history) - 1
    for other in sim.workers.values():
        counts = other.alive and not other.fenced and other.history is not None and len(other.history) > step
        if counts and other.history[step] != history[step]:  # type: ignore[index]
            raise Violation(
                f"step {step + 1} was committed by generation {other.history[step]} on worker {other.who}, "  # type: ignore
                f"and by {history[step]} on worker {worker.who}"
            )


def look_at_end(sim: Simulation, end: do.End) -> None:
    """After the run."""
    if end.error is None and end.result is not None and not end.result["stopped"] and end.result["steps"] != sim.steps:
        raise Violation(f"the run ended with {end.result['steps']} of {sim.steps} steps")
    if isinstance(end.error, UserCodeError) and not sim.failed:
        raise Violation(f"a failure in user code, and the run ended with {end}")
    alike = not sim.unlike or sim.generations > 0
    if end.error is not None and sim.deaths < 2 and not sim.failed and alike:
        raise Violation(f"the run gave up after {sim.deaths} deaths: {end.error}")
    if end.error is not None and sim.poisoned == "skip" and sim.deaths == sim.poisonings and not sim.failed and alike:
        raise Violation(f"a micro-batch that is to be skipped has ended the run: {end.error}")
