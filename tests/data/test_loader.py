"""Row groups read ahead into bounded memory: what is read, when, how often, and what becomes of errors."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from gdist.data.arena import Arena, Slot
from gdist.data.columns import TensorPlan
from gdist.data.loader import Loader
from gdist.errors import DataError, DeadlineExceeded

ROWS = 10  # of a row group


class Disk:
    """Row groups of ten rows; row r has the value r. ``held``: groups that are not read before ``let_go``."""

    def __init__(self, *, held: tuple[int, ...] = (), fails: dict[int, int] | None = None, bad: tuple[int, ...] = ()) -> None:
        self.read: list[int] = []
        self.held, self.fails, self.bad = held, dict(fails or {}), bad
        self.let_go = threading.Event()
        self.changed = threading.Condition()

    def __call__(self, group: int, slot: Slot) -> None:
        with self.changed:
            self.read.append(group)
            self.changed.notify_all()
        if group in self.held:
            assert self.let_go.wait(20)
        if self.fails.get(group, 0) > 0:
            self.fails[group] -= 1
            raise DataError(f"group {group} is damaged")
        slot.tensors["features"][:ROWS, 0] = np.arange(group * ROWS, group * ROWS + ROWS)
        slot.stamps[:ROWS] = np.arange(group * ROWS, group * ROWS + ROWS)
        slot.bad[:ROWS] = np.isin(slot.stamps[:ROWS], self.bad)

    def wait_for(self, reads: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.read) >= reads, timeout=20), self.read


def loader(disk: Disk, *, groups: int = 8, slots: int = 3, threads: int = 1, deadline_s: float = 20) -> Loader:
    plan = TensorPlan(name="features", columns=("x",), widths=(1,), shape=(), dtype="float32")
    bounds = np.arange(0, groups * ROWS + 1, ROWS)
    return Loader(disk, Arena([plan], rows=slots * ROWS), bounds=bounds, slots=slots, threads=threads, deadline_s=deadline_s)


def values(of: Loader, *rows: int) -> list[float]:
    found: list[float] = of.take(np.array(rows, dtype=np.int64)).features.tolist()
    return found


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_each_group_is_read_once_whatever_the_room(threads: int, slots: int) -> None:
    disk = Disk()
    of = loader(disk, slots=slots, threads=threads)
    of.follow(iter([[g] for g in range(8) for _ in range(5)]))
    for group in range(8):
        for i in range(5):
            assert values(of, group * ROWS + i) == [group * ROWS + i]
    of.close()
    assert Counter(disk.read) == Counter(range(8))


def test_it_reads_ahead_as_far_as_there_is_room_and_no_further() -> None:
    disk = Disk()
    of = loader(disk, slots=3)
    of.follow(iter([[g] for g in range(8)]))
    disk.wait_for(3)
    assert disk.read == [0, 1, 2]
    assert values(of, 3) == [3]
    disk.wait_for(4)  # group 0 has given way to group 3
    assert disk.read == [0, 1, 2, 3]
    of.close()


def test_a_group_that_is_needed_again_stays() -> None:
    disk = Disk()
    of = loader(disk, slots=2)
    needs = [[0], [0, 1], [0], [0, 2], [0]]
    of.follow(iter(needs))
    for need in needs:
        values(of, *(g * ROWS for g in need))
    of.close()
    assert Counter(disk.read)[0] == 1


def test_rows_come_in_any_order_and_repeat() -> None:
    of = loader(Disk())
    assert values(of, 25, 3, 3, 14) == [25, 3, 3, 14]
    assert of.take(np.array([25, 3, 3, 14])).stamp == 25 + 3 + 3 + 14
    assert values(of) == []
    of.close()


def test_a_batch_of_more_groups_than_there_is_room_comes_in_parts() -> None:
    of = loader(Disk(), slots=2)
    rows = np.random.default_rng(0).permutation(80)
    assert of.take(rows).features.tolist() == rows.tolist()
    of.close()


def test_bad_rows_are_left_out_and_counted_but_stamped() -> None:
    of = loader(Disk(bad=(3, 15)))
    batch = of.take(np.array([2, 3, 4, 15]))
    assert batch.features.tolist() == [2, 4]
    assert (batch.rows, batch.bad, batch.stamp) == (2, 2, 2 + 3 + 4 + 15)
    assert of.take(np.array([3])).rows == 0
    of.close()


def test_a_new_plan_keeps_what_is_there() -> None:
    disk = Disk()
    of = loader(disk, slots=3)
    of.follow(iter([[0], [1], [2]]))
    disk.wait_for(3)
    of.follow(iter([[2], [1], [5]]))
    assert values(of, 20) == [20]
    assert values(of, 10) == [10]
    assert values(of, 50) == [50]
    of.close()
    assert Counter(disk.read) == Counter([0, 1, 2, 5])


def test_an_unannounced_group_is_read_at_once_though_memory_is_full() -> None:
    disk = Disk()
    of = loader(disk, slots=2)
    of.follow(iter([[0], [1], [0], [1], [2]]))
    disk.wait_for(2)
    assert values(of, 71) == [71]
    assert values(of, 5) == [5]
    assert values(of, 15) == [15]
    of.close()


def test_an_error_is_raised_where_its_rows_are_taken_and_reading_is_tried_again() -> None:
    disk = Disk(fails={1: 1})
    of = loader(disk)
    of.follow(iter([[0], [1], [1], [2]]))
    assert values(of, 0) == [0]
    with pytest.raises(DataError, match="group 1 is damaged"):
        values(of, 10)
    assert values(of, 10) == [10]
    assert values(of, 20) == [20]
    of.close()


def test_storage_that_hangs_is_given_up_at_the_deadline() -> None:
    disk = Disk(held=(1,))
    of = loader(disk, deadline_s=0.05)
    with pytest.raises(DeadlineExceeded, match=r"not read within 0\.05 s"):
        values(of, 10)
    disk.let_go.set()
    of.close()


def test_closing_ends_the_threads_and_without_use_starts_none() -> None:
    before = threading.active_count()
    of = loader(Disk(), threads=2)
    assert threading.active_count() == before
    of.follow(iter([[0]]))
    values(of, 0)
    of.close()
    of.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        values(of, 70)


def test_endless_batches_of_what_is_there_already_hold_nobody_up() -> None:
    disk = Disk()
    of = loader(disk, slots=3)
    of.follow(itertools.repeat([0, 1]))
    for i in range(5_000):
        assert values(of, i % 20) == [i % 20]
    of.close()
    assert sorted(disk.read) == [0, 1]


def test_an_error_in_what_comes_is_raised_where_rows_are_taken() -> None:
    asked = threading.Event()

    def coming() -> Iterator[list[int]]:
        yield [0]
        asked.set()
        raise ValueError("no such position")

    of = loader(Disk())
    of.follow(coming())
    assert asked.wait(20)
    with of._changed:  # which is held while what comes is asked for
        pass
    with pytest.raises(ValueError, match="no such position"):
        values(of, 0)
    of.close()


def test_many_threads_and_a_greedy_reader_never_mix_rows_up() -> None:
    """Groups give way all the time; what is taken must be what was asked for, and nothing else."""
    rng = np.random.default_rng(1)
    needs = [sorted(set(rng.integers(0, 30, 3).tolist())) for _ in range(400)]
    of = loader(Disk(), groups=30, slots=4, threads=3)
    of.follow(iter([need if i % 3 else [] for i, need in enumerate(needs)]))  # a third of them unannounced
    for need in needs:
        rows = np.concatenate([rng.integers(g * ROWS, g * ROWS + ROWS, 4) for g in need])
        batch = of.take(rows)
        assert batch.features.tolist() == rows.tolist()
        assert batch.stamp == rows.sum()
    of.close()
