"""The course of a run, decided from events alone: no Ray, no clock, no process."""

from __future__ import annotations

import itertools

import pytest

from gdist.cluster.course import CAUSE_S, PREPARE_S, SAVE_S, SETTLE_S, Ask, Course, End, Form, Save
from gdist.errors import DeadlineExceeded, GdistError, PeerLost, RunFailed, UsageError, UserCodeError, WorkerLost

PEER = PeerLost("a worker of this generation is gone")
LOST = WorkerLost("worker 1 was lost: killed by SIGKILL")


def training(workers: int = 3) -> Course:
    course = Course(workers, given=True, now=0.0)
    done = [course.on_hello(slot, {"micro_batches": 4}, now=1.0) for slot in range(workers)]
    assert done[-1] == [Form(workers)]
    assert not any(done[:-1])
    return course


def error_of(instructions: object) -> GdistError | None:
    assert isinstance(instructions, list)
    (end,) = instructions
    assert isinstance(end, End)
    return end.error


def test_a_run_whose_workers_all_return_ends_with_the_result_of_the_first() -> None:
    course = training(2)
    assert course.on_returned(1, {"steps": 9, "of": 1}, now=2.0) == []
    assert course.on_returned(0, {"steps": 9, "of": 0}, now=2.0) == [End(result={"steps": 9, "of": 0}, step=9)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_cause_is_the_death_in_whatever_order_the_news_come(order: tuple[int, ...]) -> None:
    course = training(3)
    news = (
        lambda: course.on_failed(0, PEER, 7, now=2.0),
        lambda: course.on_died(1, LOST, now=2.0),
        lambda: course.on_failed(2, PEER, 8, now=2.0),
    )
    done = [instruction for i in order for instruction in news[i]()]
    assert done == [Save(2)]  # the most advanced
    assert error_of(course.on_saved(2, 8, None, now=3.0)) is LOST


def test_an_exception_of_the_user_is_the_cause_and_peers_are_its_consequence() -> None:
    course = training(2)
    assert course.on_failed(0, PEER, 7, now=2.0) == []
    theirs = UserCodeError("the step failed")
    assert course.on_failed(1, theirs, 7, now=2.1) == [Save(0)]
    assert error_of(course.on_saved(0, 7, None, now=3.0)) is theirs


def test_the_failing_worker_saves_where_it_is_alone() -> None:
    course = training(1)
    assert course.on_failed(0, UserCodeError("the step failed"), 7, now=2.0) == [Save(0)]


def test_without_a_step_taken_nothing_is_saved() -> None:
    course = training(1)
    assert isinstance(error_of(course.on_failed(0, UserCodeError("the step failed"), 0, now=2.0)), UserCodeError)


def test_a_survivor_that_does_not_report_is_not_waited_for() -> None:
    course = training(3)
    assert course.on_failed(0, PEER, 7, now=2.0) == []
    assert course.on_died(1, LOST, now=2.0) == []
    assert course.on_time(now=2.0 + SETTLE_S / 2) == []
    assert course.on_time(now=2.1 + SETTLE_S) == [Save(0)]


def test_a_lost_peer_that_nothing_explains_is_the_error_itself() -> None:
    course = training(2)
    course.on_failed(0, PEER, 7, now=2.0)
    course.on_failed(1, PEER, 7, now=2.0)
    assert course.on_time(now=2.1 + CAUSE_S) == [Save(0)]
    assert error_of(course.on_saved(0, 7, None, now=9.0)) is PEER


def test_another_survivor_saves_where_one_cannot() -> None:
    course = training(3)
    course.on_died(1, LOST, now=2.0)
    course.on_failed(0, PEER, 7, now=2.0)
    assert course.on_failed(2, PEER, 7, now=2.0) == [Save(0)]
    assert course.on_saved(0, 7, RunFailed("disk full"), now=3.0) == [Save(2)]
    assert course.on_died(2, WorkerLost("worker 2 was lost"), now=3.1) != []
    assert course.phase == "over"
    assert "no checkpoint of the last good step" in str(LOST.note)


def test_saving_has_a_bound() -> None:
    course = training(2)
    course.on_died(1, WorkerLost("worker 1 was lost"), now=2.0)
    assert course.on_failed(0, PEER, 7, now=2.0) == [Save(0)]
    assert isinstance(error_of(course.on_time(now=2.1 + SAVE_S)), WorkerLost)


def test_a_worker_that_never_gets_ready_ends_the_run() -> None:
    course = Course(2, given=True, now=0.0)
    course.on_hello(0, {"micro_batches": 4}, now=1.0)
    late = error_of(course.on_time(now=PREPARE_S + 1))
    assert isinstance(late, DeadlineExceeded)
    assert "worker 1 did not prepare" in late.what


def test_a_death_before_training_ends_the_run() -> None:
    course = Course(2, given=True, now=0.0)
    assert error_of(course.on_died(1, LOST, now=1.0)) is LOST


def test_the_death_of_a_worker_that_has_returned_changes_nothing() -> None:
    course = training(2)
    course.on_returned(1, {"steps": 9}, now=2.0)
    assert course.on_died(1, LOST, now=2.1) == []
    assert course.on_returned(0, {"steps": 9}, now=2.2) == [End(result={"steps": 9}, step=9)]


def test_too_many_workers_are_refused_where_they_were_asked_for_and_dismissed_where_they_were_not() -> None:
    assert isinstance(error_of(Course(3, given=True, now=0.0).on_hello(0, {"micro_batches": 2}, now=1.0)), UsageError)
    course = Course(3, given=False, now=0.0)
    course.on_hello(0, {"micro_batches": 2}, now=1.0)
    assert course.on_hello(1, {"micro_batches": 2}, now=1.0) == [Form(2)]
    assert not course.employs(2)


def test_a_wish_reaches_the_workers_once_they_train_and_ends_the_run_before() -> None:
    assert Course(2, given=True, now=0.0).on_wish("stop", "interrupted", now=1.0) == [End(reason="interrupted")]
    assert training(2).on_wish("stop", "interrupted", now=2.0) == [Ask("stop", "interrupted")]
    over = training(1)
    over.on_returned(0, {"steps": 1}, now=2.0)
    assert over.on_wish("stop", "interrupted", now=3.0) == []
