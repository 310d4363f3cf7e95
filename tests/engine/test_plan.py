"""The cut of a step is a function of the job; workers only share it out."""

from collections import Counter

import pytest

from gdist.engine.plan import Plan, owned


@pytest.mark.parametrize(
    ("samples", "batch", "micro"), [(100, 16, 4), (97, 16, 5), (5, 16, 8), (33, 8, 8), (64, 64, 24), (1, 1, 1)]
)
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
def test_each_epoch_uses_every_position_once_at_any_worker_count(samples: int, batch: int, micro: int, workers: int) -> None:
    plan = Plan(samples, batch_size=batch, micro_batches=micro, pass_rows=batch)
    used = Counter(
        position
        for step in range(plan.steps_per_epoch)
        for rank in range(workers)
        for share in plan.passes(plan.cut(step), rank=rank, size=workers)
        for position in range(share.start, share.stop)
    )
    assert used == Counter(range(samples))


def test_a_short_last_batch_keeps_the_bounds_of_a_full_one() -> None:
    plan = Plan(21, batch_size=8, micro_batches=4)
    full, last = plan.cut(0), plan.cut(2)
    assert full.bounds == (0, 2, 4, 6, 8)
    assert last.bounds == (16, 18, 20, 21)
    assert (last.rows, last.micro_batches, last.epoch) == (5, 3, 0)
    assert plan.cut(3).epoch == 1


def test_merged_passes_respect_the_most_rows_of_a_pass() -> None:
    plan = Plan(64, batch_size=64, micro_batches=16, pass_rows=12)
    sizes = [share.rows for share in plan.passes(plan.cut(0), rank=0, size=1)]
    assert sizes == [12, 12, 12, 12, 12, 4]


@pytest.mark.parametrize("size", range(1, 9))
def test_shares_are_contiguous_and_differ_by_one_at_most(size: int) -> None:
    shares = [owned(24, rank=r, size=size) for r in range(size)]
    assert [i for share in shares for i in share] == list(range(24))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_worker_counts_that_share_evenly_are_the_divisors() -> None:
    assert Plan(240, batch_size=24, micro_batches=24).even_workers() == [1, 2, 3, 4, 6, 8, 12, 24]
