"""The order of data larger than memory: each row once an epoch, O(1) from anywhere, and little read by each worker."""

from __future__ import annotations

import numpy as np
import pytest

from gdist.data.index import Index
from gdist.data.streams import StreamOrder, stream_count
from gdist.engine.plan import Plan


def bounds_of(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def some_of(n: int, share: float, seed: int = 0) -> Index:
    mask = np.random.default_rng(seed).random(n) < share
    return Index.of_mask(np.packbits(mask, bitorder="little"), n)


def epoch_of(order: StreamOrder, epoch: int, batch_size: int) -> np.ndarray:
    n = len(order)
    return np.concatenate([order.rows(epoch, s, min(s + batch_size, n)) for s in range(0, n, batch_size)])


CASES = [  # groups, streams, window, batch size
    (100, 64, 1, 256),
    (100, 64, 2, 100),
    (7, 64, 1, 256),
    (300, 64, 3, 97),
    (64, 16, 4, 48),
    (3, 64, 2, 7),
    (1, 8, 1, 5),
]


@pytest.mark.parametrize(("groups", "streams", "window", "batch_size"), CASES)
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_every_row_in_use_comes_once_an_epoch(groups: int, streams: int, window: int, batch_size: int, share: float) -> None:
    sizes = np.random.default_rng(groups).integers(0, 60, groups) + (groups == 1)
    n = int(sizes.sum())
    index = Index.all(n) if share == 1 else some_of(n, share)
    order = StreamOrder(bounds_of(sizes), index, seed=3, batch_size=batch_size, streams=streams, window=window)
    assert len(order) == len(index)
    first, second = epoch_of(order, 0, batch_size), epoch_of(order, 1, batch_size)
    assert np.array_equal(np.sort(first), index.rows())
    assert np.array_equal(np.sort(second), index.rows())
    assert len(index) < 8 or not np.array_equal(first, second)


@pytest.mark.parametrize(("groups", "streams", "window", "batch_size"), CASES)
def test_the_order_has_no_history_and_no_worker(groups: int, streams: int, window: int, batch_size: int) -> None:
    sizes = np.random.default_rng(groups).integers(1, 60, groups)
    n = int(sizes.sum())

    def fresh() -> StreamOrder:
        return StreamOrder(bounds_of(sizes), Index.all(n), seed=3, batch_size=batch_size, streams=streams, window=window)

    whole = epoch_of(fresh(), 2, batch_size)
    plan = Plan(n, batch_size=batch_size, micro_batches=min(8, batch_size, n))
    for size in (1, 2, 3, 4):
        found = np.full(n, -1)
        for rank in range(min(size, plan.micro_batches)):
            order = fresh()
            for step in reversed(range(plan.steps_per_epoch)):  # not even from front to back
                for share in plan.passes(plan.cut(step), rank=rank, size=min(size, plan.micro_batches)):
                    found[share.start : share.stop] = order.rows(2, share.start, share.stop)
        assert np.array_equal(found, whole)
    across = fresh().rows(2, n // 3, n)  # a stretch of many steps is what its steps are
    assert np.array_equal(across, whole[n // 3 :])


def test_golden_order() -> None:
    """The same on every machine and in every version: a run that is resumed depends on it."""
    order = StreamOrder(bounds_of(np.array([4, 3, 5, 4])), Index.all(16), seed=1, batch_size=4, streams=2, window=2)
    assert epoch_of(order, 0, 4).tolist() == [6, 7, 3, 13, 8, 9, 14, 15, 10, 4, 12, 0, 11, 5, 1, 2]


@pytest.mark.parametrize(("groups", "batch_size", "streams"), [(64, 256, 64), (100, 256, 64), (256, 250, 64), (400, 128, 32)])
@pytest.mark.parametrize("workers", [2, 3, 4])
def test_four_workers_together_read_little_more_than_the_data(groups: int, batch_size: int, streams: int, workers: int) -> None:
    n = groups * 500
    plan = Plan(n, batch_size=batch_size, micro_batches=24)
    read = 0
    for rank in range(workers):
        order = StreamOrder(bounds_of(np.full(groups, 500)), Index.all(n), seed=0, batch_size=batch_size, streams=streams)
        seen: set[int] = set()
        for step in range(plan.steps_per_epoch):
            for share in plan.passes(plan.cut(step), rank=rank, size=workers):
                seen.update(order.groups(0, share.start, share.stop))
        read += len(seen)
    assert read <= 1.2 * groups


def test_the_groups_named_hold_the_rows() -> None:
    sizes = np.random.default_rng(5).integers(0, 40, 90)
    bounds = bounds_of(sizes)
    order = StreamOrder(bounds, some_of(int(bounds[-1]), 0.8), seed=2, batch_size=64, streams=16, window=2)
    for start in range(0, len(order), 16):
        stop = min(start + 16, len(order))
        rows = order.rows(1, start, stop)
        assert set((np.searchsorted(bounds, rows, side="right") - 1).tolist()) <= set(order.groups(1, start, stop))


def test_a_batch_mixes_many_groups_and_windows_mix_rows() -> None:
    """What a batch of consecutive rows would not do: its rows come from all streams, in no order of the file."""
    bounds = bounds_of(np.full(128, 100))
    order = StreamOrder(bounds, Index.all(12_800), seed=0, batch_size=64, streams=32, window=2)
    for step in range(0, 200, 20):
        rows = order.rows(0, step * 64, step * 64 + 64)
        assert len(set((rows // 100).tolist())) >= 32
    stream = order.rows(0, 0, 12_800).reshape(-1, 32, 2)[:, 0].ravel()  # one stream's rows in their order
    ranks = np.argsort(np.argsort(stream[:200]))
    assert abs(np.corrcoef(ranks, np.arange(200))[0, 1]) < 0.5


def test_streams_divide_the_batch_where_they_can() -> None:
    assert stream_count(64, batch_size=256, groups=1000) == 64
    assert stream_count(64, batch_size=100, groups=1000) == 50
    assert stream_count(64, batch_size=97, groups=1000) == 64  # no divisor near: uneven, but many
    assert stream_count(64, batch_size=256, groups=5) == 4
    assert stream_count(64, batch_size=3, groups=1000) == 3


def test_positions_outside_the_epoch_are_refused() -> None:
    order = StreamOrder(bounds_of(np.full(4, 10)), Index.all(40), seed=0, batch_size=8)
    for start, stop in ((-1, 3), (5, 41), (4, 3)):
        with pytest.raises(ValueError, match="positions"):
            order.rows(0, start, stop)


def test_the_ninetieth_percent_of_a_long_epoch_is_as_near_as_the_first() -> None:
    """No history: what a first batch costs does not grow with its position (counted, not timed: windows opened)."""
    n = 100_000_000
    groups = 1_500
    bounds = np.linspace(0, n, groups + 1).astype(np.int64)
    opened = []
    for share in (0.0, 0.9):
        order = StreamOrder(bounds, Index.all(n), seed=0, batch_size=256)
        start = int(n * share) // 256 * 256
        assert len(order.rows(0, start, start + 256)) == 256
        opened.append(len(order._windows))
    assert opened[1] <= opened[0]
