"""A restarted controller takes a run up: who is dead or dismissed stays so, whatever is heard of it late."""

from __future__ import annotations

import json
from dataclasses import asdict

from gdist.errors import WorkerLost
from gdist.membership import events as ev
from gdist.membership.instructions import Dismiss, Form, Hire, Say
from gdist.membership.machine import Machine
from gdist.membership.state import Kept

HELLO = {"micro_batches": 4, "node": "here", "host": "here"}


def test_a_worker_that_is_known_to_be_dead_does_not_come_back_by_what_it_said_before() -> None:
    machine = Machine(least=1, most=1, given=True, generation=2, taking_up=1, now=0.0)
    machine.on(ev.Retaken(1, 0, "ready", 0, None, (), HELLO), now=1.0)
    machine.on(ev.Died(0, 2, WorkerLost("killed")), now=2.0)
    machine.on(ev.Retaken(0, 2, "training", 2, 20, ((0, 2),), HELLO), now=2.1)
    assert not machine.employs(0, 2)
    done = machine.on(ev.Tick(), now=21.0)
    (form,) = [each for each in done if isinstance(each, Form)]
    assert (form.workers, form.source, form.restore) == (((1, 0),), None, True)


def test_a_worker_that_must_leave_while_the_run_is_taken_up_is_not_waited_for() -> None:
    machine = Machine(least=1, most=1, given=True, generation=0, taking_up=1, now=0.0)
    machine.on(ev.Retaken(0, 0, "preparing", 0, None, (), {}), now=1.0)
    assert Dismiss(0, 0) in machine.on(ev.Leaving(0, 0, "SIGTERM"), now=2.0)
    machine.on(ev.Retaken(0, 0, "preparing", 0, None, (), {}), now=3.0)
    done = [each for each in machine.on(ev.Tick(), now=21.0) if not isinstance(each, Say)]
    assert done == [Hire(0, 1000, avoid=())]


def test_who_was_told_to_leave_leaves_also_after_a_restart_of_the_controller_and_its_node_stays_drained() -> None:
    before = Machine(least=2, most=2, given=True, now=0.0)
    for slot, node in ((0, "here"), (1, "there")):
        before.on(ev.Ready(slot, 0, HELLO | {"node": node}), now=1.0)
    for slot in (0, 1):
        before.on(ev.Entered(slot, 0, 1, 0), now=2.0)
    before.on(ev.DrainNode("there", "maintenance"), now=3.0)
    kept = Kept.of(json.loads(json.dumps(asdict(before.to_keep))))
    machine = Machine(least=2, most=2, given=True, generation=2, taking_up=1, kept=kept, now=0.0)
    done = [
        each
        for slot, node in ((0, "here"), (1, "there"))
        for each in machine.on(ev.Retaken(slot, 0, "training", 1, 9, ((0, 0), (1, 0)), HELLO | {"node": node}), now=1.0)
    ]
    (form,) = [each for each in done if isinstance(each, Form)]
    (hire,) = [each for each in done if isinstance(each, Hire)]
    assert (form.workers, form.leaving, hire.avoid) == (((0, 0),), ((1, 0),), ("there",))
