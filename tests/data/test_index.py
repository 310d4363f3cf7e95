"""The index against a plain list of rows, and its size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gdist.data.index import Index

SIZES = [0, 1, 7, 8, 9, 511, 512, 513, 4_099]


def index_of(n: int, share: float, seed: int = 0) -> tuple[Index, list[int]]:
    kept = np.random.default_rng(seed).random(n) < share
    return Index.of_mask(np.packbits(kept, bitorder="little"), n), [i for i in range(n) if kept[i]]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.9, 1.0])
def test_every_question_is_answered_as_a_list_of_rows_would(n: int, share: float) -> None:
    index, kept = index_of(n, share)
    assert (len(index), index.raw_rows) == (len(kept), n)
    assert index.rows().tolist() == kept
    assert index.rows().dtype == np.int64
    assert index.before(np.arange(n + 1)).tolist() == [sum(row < i for row in kept) for i in range(n + 1)]
    assert index.at(np.arange(len(kept))).tolist() == kept
    assert index.at(np.arange(len(kept) // 3, len(kept))).tolist() == kept[len(kept) // 3 :]
    order = np.random.default_rng(1).permutation(len(kept))
    assert index.at(order).tolist() == [kept[k] for k in order]


@pytest.mark.parametrize("bounds", [[0, 4_099], [0, 0, 3, 3, 8, 1_000, 1_001, 4_099, 4_099], [17, 600, 2_000]])
def test_row_groups_of_any_bounds_have_their_rows(bounds: list[int]) -> None:
    index, kept = index_of(4_099, 0.4)
    groups = [[row - a for row in kept if a <= row < b] for a, b in itertools.pairwise(bounds)]
    assert index.counts(np.array(bounds)).tolist() == [len(group) for group in groups]
    for (a, b), group in zip(itertools.pairwise(bounds), groups, strict=True):
        assert index.local(a, b).tolist() == group
        assert index.slice(a, b).rows().tolist() == group
        assert index.slice(a, b).raw_rows == b - a


@pytest.mark.parametrize("n", SIZES)
def test_all_rows_are_an_index_too(n: int) -> None:
    whole = Index.all(n)
    assert whole == index_of(n, 1.0)[0]
    assert whole.rows().tolist() == whole.local(0, n).tolist() == whole.at(np.arange(n)).tolist() == list(range(n))
    assert whole.counts(np.array([0, n // 2, n])).tolist() == [n // 2, n - n // 2]
    assert len(whole.slice(n // 3, n)) == n - n // 3


def test_bits_past_the_last_row_do_not_count() -> None:
    index = Index.of_mask(np.full(4, 255, dtype=np.uint8), 11)
    assert (len(index), index.rows().tolist()) == (11, list(range(11)))


def test_a_hundred_million_rows_take_their_bits() -> None:
    n = 100_000_000
    index = Index.of_mask(np.full(n // 8, 0b01010101, dtype=np.uint8), n)
    held = [getattr(index, name) for name in ("_bits", "_before")]
    assert sum(array.nbytes for array in held) < 14.1e6
    assert len(index) == n // 2
    assert index.at(np.array([0, n // 4, n // 2 - 1])).tolist() == [0, n // 2, n - 2]
