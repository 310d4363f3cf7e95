"""The order of samples: a bijection at every n, uniform, and the same numbers for ever."""

from __future__ import annotations

import numpy as np
import pytest

from gdist.data import permute

SIZES = [*range(1, 70), 97, 101, 127, 128, 129, 255, 256, 257, 1000, 1023, 1024, 1025, 1437, 4096, 10_007, 65_537, 100_000]


def order(n: int, *, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return permute(np.arange(n), n=n, seed=seed, epoch=epoch)


@pytest.mark.parametrize("n", SIZES)
def test_every_row_comes_exactly_once(n: int) -> None:
    for seed, epoch in ((0, 0), (1, 0), (0, 1), (2**64 - 1, 123_456)):
        counts = np.bincount(order(n, seed=seed, epoch=epoch), minlength=n)
        assert (counts == 1).all()


def test_no_positions_give_no_rows() -> None:
    for n in (0, 1, 10):
        assert permute(np.arange(0), n=n, seed=0, epoch=0).tolist() == []


def test_the_order_is_the_same_in_every_version() -> None:
    assert order(10).tolist() == [6, 5, 7, 9, 0, 3, 1, 2, 4, 8]
    assert order(16, seed=1, epoch=2).tolist() == [13, 9, 3, 14, 10, 7, 0, 4, 6, 15, 12, 1, 5, 8, 2, 11]
    far = permute(np.array([0, 1, 999_999_999_999]), n=10**12, seed=2**63 + 5, epoch=7)
    assert far.tolist() == [261497727192, 51975015666, 958936952712]


def test_a_position_s_row_does_not_depend_on_what_else_is_asked() -> None:
    n = 50_000
    whole = order(n, seed=3, epoch=4)
    some = np.array([49_999, 0, 17, 17, 30_001])
    assert (permute(some, n=n, seed=3, epoch=4) == whole[some]).all()
    assert whole.dtype == np.int64


def test_positions_outside_the_data_are_refused() -> None:
    for wrong in (-1, 10):
        with pytest.raises(ValueError, match=r"range\(10\)"):
            permute(np.array([0, wrong]), n=10, seed=0, epoch=0)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(order(20, seed=seed, epoch=epoch)) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400


def chi_square(observed: np.ndarray) -> float:
    """In standard deviations from its mean: about normal for many cells."""
    expected = observed.mean()
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = observed.size - 1
    return float((statistic - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize("n", [2, 3, 5, 8, 17, 64, 100])
def test_each_row_is_equally_likely_at_each_position(n: int) -> None:
    epochs = min(100 * n, 2_000)
    counts = np.zeros((n, n))
    positions = np.arange(n)
    for epoch in range(epochs):
        counts[positions, order(n, seed=5, epoch=epoch)] += 1
    # Each row of the table sums to `epochs`, so there is less freedom than cells; the bound allows for it.
    assert -6 < chi_square(counts) < 5


@pytest.mark.parametrize("n", [1_437, 60_000])
def test_neighbours_are_scattered_uniformly(n: int) -> None:
    """The distance between the rows of adjacent positions, and the pair of their coarse places, show no pattern."""
    distances, pairs = np.zeros(16), np.zeros((16, 16))
    for epoch in range(20):
        rows = order(n, seed=7, epoch=epoch)
        coarse = rows * 16 // n
        np.add.at(pairs, (coarse[:-1], coarse[1:]), 1)
        distances += np.bincount((rows[1:] - rows[:-1]) % n * 16 // n, minlength=16)
    assert abs(chi_square(distances)) < 5
    assert abs(chi_square(pairs)) < 5


def test_small_sets_take_every_order() -> None:
    seen = {tuple(order(4, epoch=epoch)) for epoch in range(1_000)}
    assert len(seen) == 24
