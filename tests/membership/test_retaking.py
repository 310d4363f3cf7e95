"""A restarted controller takes a run up: who is dead or dismissed stays so, whatever is heard of it late."""

from __future__ import annotations

from gdist.errors import WorkerLost
from gdist.membership import events as ev
from gdist.membership.instructions import Dismiss, Form, Hire, Say
from gdist.membership.machine import Machine

HELLO = {"micro_batches": 4, "node": "here", "host": "here"}


def test_a_worker_that_is_known_to_be_dead_does_not_come_back_by_what_it_said_before() -> None:
    machine = Machine(least=1, most=1, given=True, generation=2, taking_up=1, now=0.0)
    machine.on(ev.Retaken(1, 0, "ready", 0, None, (), HELLO), now=1.0)
    machine.on(ev.Died(0, 2, WorkerLost("killed")), now=2.0)
    machine.on(ev.Retaken(0, 2, "training", 2, 20, ((0, 2),), HELLO), now=2.1)
    assert not machine.employs(0, 2)
    done = machine.on(ev.Tick(), now=11.0)
    (form,) = [each for each in done if isinstance(each, Form)]
    assert (form.workers, form.source, form.restore) == (((1, 0),), None, True)


def test_a_worker_that_must_leave_while_the_run_is_taken_up_is_not_waited_for() -> None:
    machine = Machine(least=1, most=1, given=True, generation=0, taking_up=1, now=0.0)
    machine.on(ev.Retaken(0, 0, "preparing", 0, None, (), {}), now=1.0)
    assert Dismiss(0, 0) in machine.on(ev.Leaving(0, 0, "SIGTERM"), now=2.0)
    machine.on(ev.Retaken(0, 0, "preparing", 0, None, (), {}), now=3.0)
    done = [each for each in machine.on(ev.Tick(), now=11.0) if not isinstance(each, Say)]
    assert done == [Hire(0, 1000, avoid=())]
