"""Reading ahead: in order, bounded, errors where the batch is taken, and no thread left."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
import torch

from gdist.data import Batch
from gdist.data.read_ahead import ReadAhead, Span
from gdist.errors import DeadlineExceeded

SPANS = [(0, i, i + 1) for i in range(10)]


class Reader:
    """Notes what was read; ``wait_for`` returns once that many reads have ended, or fails at its deadline."""

    def __init__(self, *, fails: Span | None = None, held: Span | None = None) -> None:
        self.seen: list[Span] = []
        self.fails, self.held = fails, held
        self.arrived, self.let_go = threading.Event(), threading.Event()
        self.changed = threading.Condition()

    def __call__(self, span: Span) -> Batch:
        if span == self.held:
            self.arrived.set()
            assert self.let_go.wait(20)
        with self.changed:
            self.seen.append(span)
            self.changed.notify_all()
        if span == self.fails:
            raise RuntimeError(f"no data at {span}")
        return Batch({"features": torch.tensor([span[1]])})

    def wait_for(self, reads: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= reads, timeout=20)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "gdist-read-ahead"]


def test_expected_batches_are_read_once_in_order_and_within_the_bound() -> None:
    reader = Reader()
    ahead = ReadAhead(reader, bound=3, deadline_s=20)
    ahead.follow(iter(SPANS))
    reader.wait_for(3)
    for i, span in enumerate(SPANS):
        reader.wait_for(min(3 + i, len(SPANS)))
        assert len(reader.seen) <= 3 + i
        assert ahead.take(span).features.tolist() == [span[1]]
    assert reader.seen == SPANS
    ahead.close()
    assert not threads()


def test_a_batch_that_nobody_expected_comes_first() -> None:
    reader = Reader(held=SPANS[0])
    ahead = ReadAhead(reader, bound=2, deadline_s=20)
    ahead.follow(iter(SPANS))
    assert reader.arrived.wait(20)
    taken: list[Batch] = []
    taker = threading.Thread(target=lambda: taken.append(ahead.take((3, 7, 8))))
    taker.start()
    reader.let_go.set()
    taker.join(20)
    assert taken[0].features.tolist() == [7]
    assert reader.seen[:2] == [SPANS[0], (3, 7, 8)]
    assert ahead.take(SPANS[0]).rows == 1
    ahead.close()


def test_a_batch_taken_out_of_turn_is_read_though_the_bound_is_reached() -> None:
    reader = Reader()
    ahead = ReadAhead(reader, bound=2, deadline_s=20)
    ahead.follow(iter(SPANS))
    reader.wait_for(2)
    assert ahead.take(SPANS[9]).features.tolist() == [9]
    assert ahead.take(SPANS[0]).features.tolist() == [0]
    ahead.close()


def test_batches_that_are_still_wanted_survive_a_change_of_plan() -> None:
    reader = Reader()
    ahead = ReadAhead(reader, bound=4, deadline_s=20)
    ahead.follow(iter(SPANS[:4]))
    reader.wait_for(4)
    ahead.follow(iter([SPANS[2], SPANS[3], SPANS[8]]))
    for span in (SPANS[2], SPANS[3], SPANS[8]):
        ahead.take(span)
    assert Counter(reader.seen) == Counter([*SPANS[:4], SPANS[8]])
    ahead.close()


def test_an_error_waits_for_its_own_batch() -> None:
    reader = Reader(fails=SPANS[1])
    ahead = ReadAhead(reader, bound=4, deadline_s=20)
    ahead.follow(iter(SPANS[:3]))
    reader.wait_for(3)
    assert ahead.take(SPANS[0]).rows == 1
    with pytest.raises(RuntimeError, match=r"no data at \(0, 1, 2\)"):
        ahead.take(SPANS[1])
    assert ahead.take(SPANS[2]).rows == 1
    ahead.close()


def test_a_reader_that_hangs_is_given_up_at_the_deadline() -> None:
    reader = Reader(held=SPANS[0])
    ahead = ReadAhead(reader, bound=4, deadline_s=0.05)
    before = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"within 0\.05 s") as caught:
        ahead.take(SPANS[0])
    assert time.monotonic() - before < 10
    assert "positions 0 to 1" in (caught.value.where or "")
    reader.let_go.set()
    ahead.close()
    assert not threads()


def test_closing_without_use_starts_no_thread() -> None:
    ahead = ReadAhead(Reader(), bound=1, deadline_s=1)
    assert not threads()
    ahead.close()
