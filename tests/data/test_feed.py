"""The feed: each sample once an epoch at any share of the work, the same from any position, and cheap in memory."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest
import torch

from gdist.data import Feed, MapStyle, Tensors, permute
from gdist.data.index import Index
from gdist.data.order import BLOCK
from gdist.errors import DataError, UserCodeError
from tests.data.datasets import Squares


def numbers(n: int) -> Tensors:
    """Sample i has the feature i."""
    return Tensors(features=torch.arange(n))


def index(rows: np.ndarray, n: int) -> Index:
    return Index.of_mask(np.packbits(np.isin(np.arange(n), rows), bitorder="little"), n)


def spans(n: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, n)) for start in range(0, n, size)]


@pytest.mark.parametrize("n", [1, 2, 37, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("size", [1_000, BLOCK, 3 * BLOCK])
def test_every_sample_comes_once_an_epoch_and_in_another_order_in_the_next(n: int, size: int) -> None:
    feed = Feed(numbers(n).open(), seed=4)
    epochs = [[int(x) for start, stop in spans(n, size) for x in feed.take(e, start, stop).features] for e in range(2)]
    assert Counter(epochs[0]) == Counter(range(n)) == Counter(epochs[1])
    assert n < 3 or epochs[0] != epochs[1]
    assert epochs[0] == permute(np.arange(n), n=n, seed=4, epoch=0).tolist()


def test_any_position_of_any_epoch_gives_the_same_samples_without_history() -> None:
    n = BLOCK + 100
    running, whole = Feed(numbers(n).open(), seed=1), permute(np.arange(n), n=n, seed=1, epoch=5)
    for start, stop in [(0, 7), (BLOCK - 3, BLOCK + 3), (n - 1, n), (5, 5), (0, n), (40, 90)]:
        fresh = Feed(numbers(n).open(), seed=1)
        assert fresh.take(5, start, stop).features.tolist() == whole[start:stop].tolist()
        assert running.take(5, start, stop).features.tolist() == whole[start:stop].tolist()
        assert running.rows_at(5, start, stop).tolist() == whole[start:stop].tolist()


def test_the_index_says_which_rows_are_used() -> None:
    train, validation = np.arange(20, 100), np.arange(20)
    feed = Feed(numbers(100).open(), index=index(train, 100), seed=9)
    assert len(feed) == 80
    assert sorted(feed.take(3, 0, 80).features.tolist()) == train.tolist()
    in_order = Feed(numbers(100).open(), index=index(validation, 100), shuffle=False)
    assert in_order.take(3, 0, 20).features.tolist() == validation.tolist()


def test_positions_outside_the_epoch_and_empty_data_are_refused() -> None:
    feed = Feed(numbers(10).open())
    for start, stop in ((-1, 3), (5, 11), (4, 3)):
        with pytest.raises(ValueError, match="positions"):
            feed.take(0, start, stop)
    with pytest.raises(DataError, match="empty"):
        Feed(numbers(10).open(), index=index(np.arange(0), 10))


def test_floats_come_in_the_run_s_precision() -> None:
    memory = Tensors(features=np.ones((4, 2)), target=np.arange(4)).open()
    slow = MapStyle(dataset=Squares()).open()
    for rows in (memory, slow):
        feed = Feed(rows, float_dtype=torch.float64)
        batch = feed.take(0, 0, 2)
        assert (batch.features.dtype, batch.target.dtype) == (torch.float64, torch.int64)
        feed.close()
    assert Feed(memory, float_dtype=torch.float32).take(0, 0, 2).features.dtype == torch.float32


def test_data_in_memory_needs_no_thread() -> None:
    before = threading.active_count()
    feed = Feed(numbers(10).open())
    feed.follow(iter([(0, 0, 5)]))
    feed.take(0, 0, 5)
    assert threading.active_count() == before


def test_a_slow_dataset_is_read_ahead_in_one_thread_each_sample_once() -> None:
    dataset = Squares(20)
    feed = Feed(MapStyle(dataset=dataset).open(), seed=2)
    feed.follow(iter([(0, start, stop) for start, stop in spans(20, 4)]))
    seen = [int(x) for start, stop in spans(20, 4) for x in feed.take(0, start, stop).target]
    assert Counter(seen) == Counter(i * i for i in range(20))
    assert dataset.read == Counter(range(20))
    assert dataset.threads == {"gdist-read-ahead"}
    feed.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "gdist-read-ahead"]


def test_the_next_batch_is_read_while_this_one_is_in_use() -> None:
    dataset = Squares(8, held=7)
    feed = Feed(MapStyle(dataset=dataset).open(), shuffle=False)
    feed.follow(iter([(0, 0, 4), (0, 4, 8)]))
    feed.take(0, 0, 4)
    assert dataset.arrived.wait(20)  # nobody has asked for the second batch yet
    dataset.let_go.set()
    assert feed.take(0, 4, 8).target.tolist() == [16, 25, 36, 49]
    feed.close()


def test_two_feeds_of_one_dataset_do_not_call_it_at_the_same_time() -> None:
    dataset = Squares(8, held=1)
    rows = MapStyle(dataset=dataset).open()
    train, validation = (Feed(rows, index=index(np.arange(start, start + 4), 8), shuffle=False) for start in (0, 4))
    train.follow(iter([(0, 0, 4)]))
    assert dataset.arrived.wait(20)
    validation.follow(iter([(0, 0, 4)]))
    assert dataset.read == {0: 1}
    dataset.let_go.set()
    assert validation.take(0, 0, 4).target.tolist() == [16, 25, 36, 49]
    assert list(dataset.read) == list(range(8))  # in this order: the second feed waited for the first one's batch
    train.close()
    validation.close()


def test_a_failing_sample_surfaces_where_its_batch_is_taken() -> None:
    feed = Feed(MapStyle(dataset=Squares(12, fails=9)).open(), shuffle=False)
    feed.follow(iter([(0, start, stop) for start, stop in spans(12, 4)]))
    feed.take(0, 0, 4)
    feed.take(0, 4, 8)
    with pytest.raises(UserCodeError, match="sample 9 of"):
        feed.take(0, 8, 12)
    feed.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_reach_the_gpu_from_pinned_memory_ahead_of_use() -> None:
    n = 10_000
    feed = Feed(numbers(n).open(), seed=3, device="cuda")
    feed.follow(iter([(0, start, stop) for start, stop in spans(n, 500)]))
    seen = torch.cat([feed.take(0, start, stop).features for start, stop in spans(n, 500)])
    assert seen.is_cuda
    assert seen.tolist() == permute(np.arange(n), n=n, seed=3, epoch=0).tolist()
    feed.close()
