"""Holding out: each row on one side, the share kept, the same rows each time."""

from __future__ import annotations

import numpy as np
import pytest

from gdist.data import hold_out
from gdist.errors import DataError


@pytest.mark.parametrize(("n", "share", "held"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.2, 2), (1797, 0.2, 359), (1000, 0.5, 500)])
def test_each_row_is_on_one_side(n: int, share: float, held: int) -> None:
    train, validation = hold_out(n, share=share, seed=3)
    assert len(validation) == held
    assert sorted([*train, *validation]) == list(range(n))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()


def test_the_split_is_the_same_each_time_and_another_for_another_seed() -> None:
    train, validation = hold_out(20, share=0.25, seed=0)
    assert train.tolist() == [0, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14, 15, 16, 17, 18]
    assert validation.tolist() == [1, 2, 9, 13, 19]
    assert hold_out(20, share=0.25, seed=1)[1].tolist() != validation.tolist()


def test_a_share_outside_of_0_to_1_and_a_single_row_are_refused() -> None:
    for share in (0.0, 1.0, -0.5, 3.0):
        with pytest.raises(DataError, match="share"):
            hold_out(10, share=share, seed=0)
    with pytest.raises(DataError, match="cannot split 1 row "):
        hold_out(1, share=0.5, seed=0)
