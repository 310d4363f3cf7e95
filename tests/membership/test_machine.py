"""The state machine, decided from events alone: what follows from what, one sentence of behaviour each."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gdist.errors import DeadlineExceeded, GdistError, PeerLost, RunFailed, UsageError, UserCodeError, WorkerLost
from gdist.membership import events as ev
from gdist.membership.change import GATHER_S
from gdist.membership.ending import CAUSE_S, SAVE_S, SETTLE_S
from gdist.membership.hiring import PREPARE_S, TRIES
from gdist.membership.instructions import Ask, Dismiss, End, Form, Hire, Instruction, Kill, Save, Say
from gdist.membership.machine import Machine

LOST = WorkerLost("worker 1 was lost: killed by SIGKILL")


class Run:
    """A machine and its clock, which advances by a tenth of a second with each event."""

    def __init__(self, least: int, most: int | None = None, *, micro_batches: int = 4, **more: Any) -> None:
        self.now, self.micro_batches, self.poisoned = 0.0, micro_batches, more.pop("poisoned", "stop")
        self.machine = Machine(least=least, most=most or least, given=more.pop("given", True), now=0.0, **more)
        self.hired = self.tell(ev.Tick())

    def tell(self, event: ev.Event, *, after: float = 0.1) -> list[Instruction]:
        self.now += after
        done = self.machine.on(event, now=self.now)
        return [each for each in done if not isinstance(each, Say)]

    def ready(self, slot: int, incarnation: int = 0, **hello: Any) -> list[Instruction]:
        self.tell(ev.Placed(slot, incarnation, node="here"))
        content = {"micro_batches": self.micro_batches, "poisoned": self.poisoned, "host": "here", "node": "here", **hello}
        return self.tell(ev.Ready(slot, incarnation, hello=content))

    def broken(self, slot: int, step: int | None, incarnation: int = 0) -> list[Instruction]:
        return self.tell(ev.Broken(slot, incarnation, self.machine.generation, step))

    def returned(self, slot: int, step: int, **result: Any) -> list[Instruction]:
        return self.tell(ev.Returned(slot, 0, self.machine.generation, step, {"steps": step, **result}))

    def failed(self, slot: int, error: GdistError, step: int) -> list[Instruction]:
        return self.tell(ev.Failed(slot, 0, self.machine.generation, step, error))

    def enter(self, step: int) -> None:
        for slot, incarnation in self.machine.members:
            self.tell(ev.Entered(slot, incarnation, self.machine.generation, step))


def training(workers: int = 3, most: int | None = None, **more: Any) -> Run:
    run = Run(workers, most, **more)
    done = [run.ready(slot) for slot in range(workers)]
    assert forms(done[-1]) == [tuple((slot, 0) for slot in range(workers))]
    run.enter(0)
    assert run.machine.phase == "training"
    return run


def forms(instructions: list[Instruction]) -> list[tuple[tuple[int, int], ...]]:
    return [each.workers for each in instructions if isinstance(each, Form)]


def only(instructions: list[Instruction], kind: type) -> Any:
    (found,) = [each for each in instructions if isinstance(each, kind)]
    return found


def test_a_run_begins_once_the_least_number_of_workers_is_ready_and_grows_one_placement_at_a_time() -> None:
    run = Run(2, 4)
    assert run.hired == [Hire(0, 0), Hire(1, 0)]
    assert run.tell(ev.Placed(0, 0)) == []
    assert run.tell(ev.Placed(1, 0)) == [Hire(2, 0)]
    run.ready(0)
    assert only(run.ready(1), Form).workers == ((0, 0), (1, 0))


def test_a_killed_worker_is_replaced_and_the_most_advanced_survivor_is_the_source() -> None:
    run = training(3)
    assert run.tell(ev.Died(0, 0, LOST)) == [Hire(0, 1)]
    assert forms(run.broken(1, 7)) == []
    form = only(run.broken(2, 8), Form)
    assert (form.workers, form.source, form.planned, form.restore) == (((1, 0), (2, 0)), 1, False, False)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_next_generation_is_formed_once_each_member_is_accounted_for(order: tuple[int, ...]) -> None:
    run = training(3)
    news = (lambda: run.broken(0, 7), lambda: run.tell(ev.Died(1, 0, LOST)), lambda: run.broken(2, 8))
    done = [forms(news[i]()) for i in order]
    assert done == [[], [], [((0, 0), (2, 0))]]


def test_a_joiner_comes_in_by_a_planned_change() -> None:
    run = training(1, 2)
    form = only(run.ready(1), Form)
    assert (form.workers, form.source, form.planned, form.leaving) == (((0, 0), (1, 0)), 0, True, ())


def test_a_scale_down_lets_the_last_leave_and_dismisses_them_once_the_others_go_on() -> None:
    run = training(3)
    form = only(run.tell(ev.Scale(1, 1)), Form)
    assert (form.workers, form.leaving, form.planned) == (((0, 0),), ((1, 0), (2, 0)), True)
    assert run.tell(ev.Left(1, 0, 1, 5)) == []
    assert run.tell(ev.Entered(0, 0, 2, 5)) == [Dismiss(1, 0)]
    assert run.tell(ev.Left(2, 0, 1, 5)) == [Dismiss(2, 0)]


def test_a_drained_node_is_left_and_not_hired_on_again() -> None:
    run = training(2)
    run.machine.seats[1].node = "there"
    done = run.tell(ev.DrainNode("there", "maintenance"))
    assert only(done, Hire) == Hire(2, 0, avoid=("there",))
    form = only(done, Form)
    assert (form.workers, form.leaving) == (((0, 0),), ((1, 0),))
    run.tell(ev.Left(1, 0, 1, 5))
    assert run.tell(ev.Entered(0, 0, 2, 5)) == [Dismiss(1, 0)]


def test_the_last_worker_that_must_leave_saves_first_and_its_successor_restores() -> None:
    run = training(1)
    assert run.tell(ev.Leaving(0, 0, "SIGTERM")) == [Ask("drain", "SIGTERM"), Hire(1, 0)]
    run.returned(0, 7)
    run.tell(ev.Died(0, 0, LOST))
    form = only(run.ready(1), Form)
    assert (form.source, form.restore) == (None, True)


def test_the_last_worker_that_must_leave_and_has_time_hands_its_state_over() -> None:
    run = training(1)
    run.tell(ev.Leaving(0, 0, "SIGTERM"))
    run.tell(ev.Left(0, 0, 1, 7))
    form = only(run.ready(1), Form)
    assert (form.workers, form.source, form.restore) == (((0, 0), (1, 0)), 0, False)


def test_when_all_are_lost_the_run_goes_on_from_its_checkpoint() -> None:
    run = training(2)
    run.tell(ev.Died(0, 0, LOST))
    run.tell(ev.Died(1, 0, LOST))
    assert run.machine.phase == "waiting"
    run.tell(ev.Placed(1, 1, node="here"))
    assert forms(run.ready(0, 1)) == []  # another is about to be ready too
    form = only(run.tell(ev.Tick(), after=GATHER_S), Form)
    assert (form.workers, form.source, form.restore, form.planned) == (((0, 1),), None, True, False)
    assert form.reason == "worker 0 and worker 1 were lost"
    run.enter(0)
    form = only(run.ready(1, 1), Form)
    assert (form.workers, form.source, form.planned) == (((0, 1), (1, 1)), 0, True)


def test_workers_that_die_before_anybody_took_part_are_tried_three_times_each() -> None:
    run = Run(3)
    for slot in range(3):  # one node, perhaps
        assert run.tell(ev.Died(slot, 0, LOST)) == [Hire(slot, 1)]
    run.tell(ev.Died(0, 1, LOST))
    assert run.tell(ev.Tick(), after=1.0) == [Hire(0, 2)]
    end = only(run.tell(ev.Died(0, 2, LOST)), End)
    assert end.error.what == "5 workers in a row were lost before they took part"


def test_a_failure_of_a_workers_own_ends_the_run_though_the_next_generation_forms_already() -> None:
    run = Run(3)
    for slot in range(3):
        run.ready(slot)
    again = only(run.broken(0, 0), Form)  # it lost a peer before anybody had entered: all try again
    assert (again.generation, (2, 0) in again.workers) == (2, True)
    mine = RunFailed("ValueError: in the job's code")
    run.tell(ev.Failed(2, 0, 1, None, mine))
    run.tell(ev.Tick(), after=1.5)
    assert run.machine.phase in ("settling", "saving", "over")


def test_a_death_is_the_reason_of_the_next_generation_whatever_was_asked_for() -> None:
    run = training(2, most=2)
    run.tell(ev.Scale(3, 3))
    run.tell(ev.Died(1, 0, LOST))
    form = only(run.broken(0, 5), Form)
    assert (form.workers, form.reason) == (((0, 0),), "worker 1 was lost")
    run.enter(5)
    run.tell(ev.Placed(1, 1, node="here"))
    assert forms(run.ready(2)) == []
    form = only(run.ready(1, 1), Form)
    assert (form.workers, form.reason) == (((0, 0), (1, 1), (2, 0)), "asked to scale")


def test_a_wish_to_stop_is_told_to_whoever_leads_after_a_planned_change() -> None:
    run = training(2, most=2)
    run.tell(ev.Leaving(0, 0, "SIGTERM"))
    assert run.tell(ev.WishRaised("stop", "interrupted")) == [Ask("stop", "interrupted")]
    assert Ask("stop", "interrupted") in run.tell(ev.Entered(1, 0, run.machine.generation, 5))
    assert run.machine.members[0] == (1, 0)


def test_a_wish_to_stop_while_nobody_is_left_ends_the_run_at_its_checkpoint() -> None:
    run = training(2)
    run.broken(0, 5)
    run.tell(ev.Died(0, 0, LOST))
    run.tell(ev.Died(1, 0, LOST))
    assert run.tell(ev.WishRaised("stop", "interrupted")) == [End(reason="interrupted", step=None)]


def test_two_deaths_in_the_same_micro_batches_end_the_run_and_name_the_samples() -> None:
    run = training(3)
    run.tell(ev.Died(1, 0, LOST, place=(8, 0, 2)))
    run.broken(0, 7)
    run.broken(2, 7)
    run.tell(ev.Entered(0, 0, 2, 7))
    run.tell(ev.Entered(2, 0, 2, 7))
    run.tell(ev.Died(2, 0, LOST, place=(8, 1, 4)))
    assert only(run.broken(0, 7), Save) == Save(0, 0, blame=(8, 1, 2))
    end = only(run.tell(ev.Saved(0, 0, 7, samples=("train.csv: row 12",))), End)
    assert "step 8, micro-batch 1" in end.error.what
    assert "train.csv: row 12" in str(end.error.note)


def test_samples_of_which_all_have_died_are_named_by_the_next_worker() -> None:
    run = training(2)
    run.tell(ev.Died(1, 0, LOST, place=(8, 0, 2)))
    run.broken(0, 7)
    run.enter(7)
    run.tell(ev.Died(0, 0, LOST, place=(8, 1, 4)))
    assert run.machine.phase == "waiting"
    assert only(run.ready(1, 1), Save) == Save(1, 1, blame=(8, 1, 2))
    end = only(run.tell(ev.Saved(1, 1, 0, RunFailed("it has no state"), samples=("train.csv: row 12",))), End)
    assert "step 8, micro-batch 1" in end.error.what
    assert "train.csv: row 12" in str(end.error.note)


def test_a_job_that_allows_it_skips_the_micro_batch_that_kills() -> None:
    run = training(3, poisoned="skip")
    run.tell(ev.Died(1, 0, LOST, place=(8, 0, 2)))
    run.broken(0, 7)
    run.broken(2, 7)
    run.tell(ev.Entered(0, 0, 2, 7))
    run.tell(ev.Entered(2, 0, 2, 7))
    run.tell(ev.Died(2, 0, LOST, place=(8, 1, 4)))
    assert only(run.broken(0, 7), Form).skip == ((8, 1, 2),)


def test_what_a_dead_incarnation_says_changes_nothing() -> None:
    run = training(2)
    run.tell(ev.Died(1, 0, LOST))
    run.broken(0, 7)
    before = (run.machine.phase, run.machine.generation)
    assert run.tell(ev.Broken(1, 0, 1, 99)) == []
    assert run.tell(ev.Entered(1, 0, 2, 99)) == []
    assert (run.machine.phase, run.machine.generation) == before


def test_a_worker_that_is_unlike_the_others_is_refused_and_the_run_goes_on() -> None:
    run = Run(1, 2)
    run.ready(0, proof={"code": "a"})
    run.tell(ev.Entered(0, 0, 1, 0))
    done = run.ready(1, proof={"code": "b"}, node="there")
    assert done == [Dismiss(1, 0), Hire(1, 1, avoid=("there",))]
    assert run.machine.phase == "training"


def test_the_first_workers_must_be_alike() -> None:
    run = Run(2)
    run.ready(0, proof={"torch": "2.13"})
    end = only(run.ready(1, proof={"torch": "2.12"}), End)
    assert "torch 2.12 (the others: 2.13)" in end.error.what


def test_workers_that_die_before_they_take_part_are_hired_with_pauses_on_other_nodes_and_not_for_ever() -> None:
    run = training(1)
    hires = [each for each in run.tell(ev.Died(0, 0, LOST)) if isinstance(each, Hire)]
    while run.machine.phase != "over":
        incarnation = len(hires)
        run.tell(ev.Placed(0, incarnation, node="bad"))
        done = run.tell(ev.Died(0, incarnation, LOST))
        done += run.tell(ev.Tick(), after=40.0)
        hires += [each for each in done if isinstance(each, Hire)]
    assert len(hires) == 2 * TRIES
    assert [hire.avoid for hire in hires] == [()] * TRIES + [("bad",)] * TRIES


def test_two_that_were_told_to_leave_and_died_at_one_place_are_no_sign_of_bad_samples() -> None:
    run = training(3)
    for slot in (1, 2):
        run.tell(ev.Leaving(slot, 0, "spot notice"))
        run.tell(ev.Died(slot, 0, LOST, place=(8, 0, 2)))
    assert forms(run.broken(0, 7)) == [((0, 0),)]


def test_the_next_in_a_slot_is_waited_for_and_none_is_hired_beside_it() -> None:
    run = training(2)
    assert only(run.tell(ev.Died(1, 0, LOST)), Hire) == Hire(1, 1)
    assert run.tell(ev.Died(1, 1, LOST)) == []
    assert only(run.tell(ev.Tick(), after=1.0), Hire) == Hire(1, 2)


def test_a_run_that_gets_on_after_each_restore_is_not_given_up_though_it_is_not_yet_where_it_was() -> None:
    run = training(1)
    run.tell(ev.Broken(0, 0, 1, 50))
    run.enter(50)
    for incarnation in range(1, 15):
        run.tell(ev.Died(0, incarnation - 1, LOST))
        run.tell(ev.Tick(), after=40.0)
        assert forms(run.ready(0, incarnation)) == [((0, incarnation),)]
        run.enter(10 + incarnation)
    for incarnation in range(15, 30):
        run.tell(ev.Died(0, incarnation - 1, LOST))
        if run.machine.phase == "over":
            break
        run.tell(ev.Tick(), after=40.0)
        run.ready(0, incarnation)
        run.enter(24)
    assert 20 < incarnation < 25


def test_a_leader_that_dies_at_its_end_is_replaced_by_those_who_are_there() -> None:
    run = training(2)
    run.returned(1, 9)
    form = only(run.tell(ev.Died(0, 0, LOST)), Form)
    assert form.workers == ((1, 0),)
    run.tell(ev.Entered(1, 0, 2, 9))
    assert only(run.tell(ev.Returned(1, 0, 2, 9, {"steps": 9})), End).result == {"steps": 9}


def test_a_run_whose_workers_all_return_ends_with_the_result_of_the_first() -> None:
    run = training(2)
    assert run.returned(1, 9, of=1) == []
    assert only(run.returned(0, 9, of=0), End) == End(result={"steps": 9, "of": 0}, step=9)


def test_an_exception_of_the_user_ends_the_run_after_the_most_advanced_has_saved() -> None:
    run = training(2)
    run.broken(0, 8)
    theirs = UserCodeError("the step failed")
    assert only(run.failed(1, theirs, 7), Save) == Save(0, 0)
    assert only(run.tell(ev.Saved(0, 0, 8)), End) == End(error=theirs, step=8)


def test_another_survivor_saves_where_one_cannot_and_saving_has_a_bound() -> None:
    run = training(3)
    theirs = UserCodeError("the step failed")
    run.failed(1, theirs, 7)
    run.broken(0, 7)
    assert only(run.broken(2, 7), Save) == Save(0, 0)
    assert only(run.tell(ev.Saved(0, 0, 7, RunFailed("disk full"))), Save) == Save(1, 0)
    assert only(run.tell(ev.Tick(), after=SAVE_S + 1), Save) == Save(2, 0)
    assert only(run.tell(ev.Tick(), after=SAVE_S + 1), End).error is theirs
    assert "no checkpoint of the last good step" in str(theirs.note)


def test_a_survivor_that_does_not_report_is_not_waited_for_when_the_run_fails() -> None:
    run = training(2)
    run.failed(1, UserCodeError("the step failed"), 7)
    assert only(run.tell(ev.Tick(), after=SETTLE_S + 0.1), Save) == Save(1, 0)


def test_members_that_do_not_say_where_they_stand_are_killed_after_a_bound() -> None:
    run = training(2)
    run.broken(0, 7)
    done = run.tell(ev.Tick(), after=run.machine.wake_at - run.now + 61)
    assert only(done, Kill).slot == 1
    assert forms(done) == [((0, 0),)]


def test_a_worker_that_never_gets_ready_ends_the_run() -> None:
    run = Run(1)
    run.tell(ev.Placed(0, 0))
    late = only(run.tell(ev.Tick(), after=PREPARE_S + 1), End).error
    assert isinstance(late, DeadlineExceeded)
    assert "worker 0 did not prepare" in late.what


def test_too_many_workers_are_refused_where_they_were_asked_for_and_dismissed_where_they_were_not() -> None:
    assert isinstance(only(Run(3, micro_batches=2).ready(0), End).error, UsageError)
    run = Run(3, micro_batches=2, given=False)
    assert run.ready(0) == [Dismiss(2, 0)]
    assert only(run.ready(1), Form).workers == ((0, 0), (1, 0))
    assert not run.machine.employs(2, 0)


def test_a_wish_reaches_the_workers_once_they_train_and_ends_the_run_before() -> None:
    assert Run(2).tell(ev.WishRaised("stop", "interrupted")) == [End(reason="interrupted")]
    run = training(2)
    assert run.tell(ev.WishRaised("stop", "interrupted")) == [Ask("stop", "interrupted")]


def test_a_stop_that_is_asked_for_during_a_break_is_passed_on_with_the_next_generation() -> None:
    run = training(2)
    run.tell(ev.Died(1, 0, LOST))
    assert run.tell(ev.WishRaised("stop", "interrupted")) == []
    assert [type(each) for each in run.broken(0, 7)] == [Form, Ask]


def test_a_death_ends_what_is_not_live_with_its_cause() -> None:
    run = training(2, live=False)
    assert run.broken(0, 0) == []
    assert only(run.tell(ev.Died(1, 0, LOST)), End).error is LOST


def test_a_lost_peer_that_nothing_explains_is_the_error_itself_where_a_death_ends_the_run() -> None:
    run = training(2, live=False)
    run.broken(0, 0)
    run.broken(1, 0)
    assert isinstance(only(run.tell(ev.Tick(), after=CAUSE_S + 0.1), End).error, PeerLost)


def test_a_restarted_controller_takes_the_run_up_and_kills_who_is_silent() -> None:
    machine = Machine(least=2, most=2, given=True, generation=3, taking_up=1, now=0.0)
    hello = {"micro_batches": 4}
    assert machine.on(ev.Tick(), now=0.0) == []
    heard = ev.Retaken(0, 0, "training", 3, 9, ((0, 0), (1, 4)), hello)
    assert machine.on(heard, now=1.0) == []
    done = machine.on(ev.Tick(), now=21.0)
    assert only(done, Kill).slot == 1
    assert machine.phase == "broken"
    done = machine.on(ev.Broken(0, 0, 3, 9), now=21.1)
    assert only(done, Form).generation == 4


def test_a_restarted_controller_goes_on_where_all_are_heard() -> None:
    machine = Machine(least=1, most=1, given=True, generation=3, taking_up=1, now=0.0)
    assert machine.on(ev.Retaken(0, 0, "training", 3, 9, ((0, 0),), {"micro_batches": 4}), now=1.0) == []
    assert machine.phase == "training"
