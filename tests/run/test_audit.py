"""The proof that every sample was used once, on ledgers that are right and on ledgers that lost or doubled something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gdist.data.identity import stamps, total
from gdist.data.order import permute
from gdist.errors import RunFailed
from gdist.run.audit import Audit, audit
from gdist.run.faults import Fault
from gdist.run.ledger import STAMP, START, STEP, STOP, USED, Ledger

N, BATCH, RAW = 50, 12, 60  # the last ten rows are held out
STEPS = 10  # two epochs


class Index:
    raw_rows = RAW

    def rows_at(self, epoch: int, start: int, stop: int) -> np.ndarray:
        return permute(np.arange(start, stop), n=N, seed=3, epoch=epoch)

    def identities(self, rows: np.ndarray) -> np.ndarray:
        return stamps(0, rows)

    def place(self, row: int) -> str:
        return f"row {row}"


def span(
    step: int, start: int, stop: int, *, read: np.ndarray | None = None, used: int | None = None, bad: int = 0
) -> list[int]:
    """Of an epoch's positions; ``read``: the rows that were read in place of those that stand there."""
    rows = Index().rows_at((step - 1) // 5, start, stop) if read is None else read
    return [step, start, stop, total(stamps(0, rows)), (len(rows) if used is None else used) - bad, bad]


def spans() -> list[list[int]]:
    """Two passes a step; the fifth step of an epoch has two samples."""
    found = []
    for step in range(1, STEPS + 1):
        begin = (step - 1) % 5 * BATCH
        middle, end = min(begin + 6, N - 1), min(begin + BATCH, N)
        found += [span(step, begin, middle), span(step, middle, end)]
    return found


def proved(told: list[list[int]], *, steps: int = STEPS, unapplied: tuple[int, ...] = ()) -> Audit:
    table = np.array(told, dtype=np.uint64)
    epochs = (table[:, STEP] - 1) // 5 + 1
    ledger = Ledger({e: table[epochs == e] for e in np.unique(epochs).tolist()}, {}, frozenset(unapplied), {1: {}})
    return audit(ledger, Index(), samples=N, batch_size=BATCH, steps=steps)


def faults(found: Audit) -> list[tuple[Any, ...]]:
    every: list[Fault] = [fault for epoch in found.epochs for fault in epoch.faults]
    return [(fault.kind, fault.count, fault.step, fault.start, fault.row) for fault in every]


def rows(step: int, start: int, stop: int) -> list[int]:
    found: list[int] = Index().rows_at((step - 1) // 5, start, stop).tolist()
    return found


def test_a_whole_run_is_proved() -> None:
    found = proved(spans(), unapplied=(3, 7))
    assert (found.lost, found.doubled, faults(found)) == (0, 0, [])
    assert [(e.samples, e.used, e.unapplied, e.finished) for e in found.epochs] == [(50, 38, 12, True)] * 2


def test_an_unfinished_epoch_is_proved_as_far_as_it_came() -> None:
    found = proved(spans()[:16], steps=8)
    assert (found.lost, found.doubled) == (0, 0)
    assert [(e.samples, e.steps, e.finished) for e in found.epochs] == [(50, 5, True), (36, 3, False)]


def test_steps_of_which_the_ledger_is_silent_are_lost() -> None:
    assert faults(proved(spans()[:16], steps=10)) == [("lost", 14, 9, 36, None)]
    assert faults(proved(spans()[:10], steps=10)) == [("lost", 50, 6, 0, None)]  # a whole epoch


def test_a_span_that_is_missing_is_lost_and_one_that_is_there_twice_is_doubled() -> None:
    told = spans()
    assert faults(proved(told[:4] + told[5:])) == [("lost", 6, 3, 24, None)]
    assert faults(proved([*told, told[4]])) == [("doubled", 6, 3, 24, None)]
    assert faults(proved(told[1:] + told[10:11])) == [("lost", 6, 1, 0, None), ("doubled", 6, 6, 0, None)]


def test_a_span_cut_short_by_hand_lost_its_last_sample() -> None:
    told = spans()
    told[4][STOP] -= 1
    found = proved(told)
    assert found.lost == 1
    assert ("lost", 1, 3, 29, None) in faults(found)


@pytest.mark.parametrize("counted", [True, False])
def test_a_row_that_was_not_read_is_named(counted: bool) -> None:
    told, there = spans(), rows(7, 12, 18)
    told[12] = span(7, 12, 18, read=np.array(there[:3] + there[4:]), used=None if counted else 6)
    found = proved(told)
    assert (found.lost, found.doubled) == (1, 0)
    assert faults(found) == [("lost", 1, 7, 15, there[3])]


def test_a_row_that_was_read_twice_is_named() -> None:
    told, there = spans(), rows(7, 12, 18)
    told[12] = span(7, 12, 18, read=np.array([*there, there[2]]))
    assert faults(proved(told)) == [("doubled", 1, 7, 14, there[2])]


def test_a_row_read_in_the_place_of_another_of_its_span_is_named() -> None:
    told, there = spans(), rows(7, 12, 18)
    told[12] = span(7, 12, 18, read=np.array([*there[:5], there[0]]))
    assert faults(proved(told)) == [("lost", 1, 7, 17, there[5]), ("doubled", 1, 7, 12, there[0])]


@pytest.mark.parametrize("stranger", [rows(8, 30, 31)[0], 55])
def test_a_row_from_elsewhere_is_named(stranger: int) -> None:
    told, there = spans(), rows(7, 12, 18)
    told[12] = span(7, 12, 18, read=np.array([*there[:5], stranger]))
    assert faults(proved(told)) == [("lost", 1, 7, 17, there[5]), ("doubled", 1, 7, 12, stranger)]
    told[12] = span(7, 12, 18, read=np.array([*there, stranger]))
    assert faults(proved(told)) == [("doubled", 1, 7, 12, stranger)]


def test_rows_that_cannot_be_told_are_counted() -> None:
    told = spans()
    told[12][STAMP] ^= 12345
    assert faults(proved(told)) == [("lost", 1, 7, 12, None), ("doubled", 1, 7, 12, None)]
    told[12][USED] -= 3
    assert faults(proved(told)) == [("lost", 3, 7, 12, None)]


def test_rows_that_were_read_but_not_used_are_lost_and_bad_ones_are_not() -> None:
    told = spans()
    told[3] = span(2, told[3][START], told[3][STOP], used=4)
    told[4] = span(3, told[4][START], told[4][STOP], bad=2)
    found = proved(told)
    assert faults(found) == [("lost", 2, 2, 18, None)]
    assert found.epochs[0].bad == 2


def test_a_span_outside_of_its_step_is_no_ledger_of_a_run() -> None:
    told = spans()
    told[4][STEP] = 4
    with pytest.raises(RunFailed, match="step 4 read positions 24 to 29 of epoch 1, which are not its own"):
        proved(told)
