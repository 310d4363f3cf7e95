"""What a pass is given: the rows that are not bad, and none where they are too few to be normalized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from gdist.data import Batch, Parquet
from gdist.data.identity import stamps, total
from gdist.engine.batches import Batches
from gdist.engine.collective import Alone, Collective
from gdist.engine.plan import Plan
from gdist.job import Job
from gdist.worker.build import build
from gdist.worker.opening import find_data
from tests.engine.cases import CASES, make_engine
from tests.ranks import run_ranks

BAD = {1, 2, 3, 8, 9, 10, 11, 13, 14}  # of micro-batches of 4: leaves 1, 4, none, 2, 4


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("transformed", [False, True])
@pytest.mark.parametrize(("least_rows", "rows"), [(1, [1, 4, 0, 2, 4]), (2, [0, 4, 0, 2, 4])])
def test_bad_rows_that_leave_too_few_take_the_rest_with_them(
    least_rows: int, rows: list[int], transformed: bool, several: bool
) -> None:
    def load(epoch: int, start: int, stop: int) -> Batch:
        good = [i for i in range(start, stop) if i not in BAD]
        return Batch({"features": torch.tensor(good)}, stamp=sum(range(start, stop)), bad=stop - start - len(good))

    batches = Batches(
        load, transform=(lambda batch, _: batch) if transformed else None, seed=0, device=torch.device("cpu"),
        several=several, least_rows=least_rows,
    )  # fmt: skip
    cut = (plan := Plan(20, batch_size=20, micro_batches=5, least_rows=least_rows)).cut(0)
    for share, used in zip(plan.passes(cut, rank=0, size=1), rows, strict=True):
        for _ in range(2):
            batch = batches.load(cut, share)
            assert (batch.rows, batch.bad) == (used, 4 - used)
            assert batch.stamp == sum(range(share.start, share.stop))


def test_a_single_row_that_is_not_for_want_of_others_is_used() -> None:
    batches = Batches(
        lambda *_: Batch({"features": torch.zeros(1)}), transform=None, seed=0, device=torch.device("cpu"), several=False,
        least_rows=2,
    )  # fmt: skip
    plan = Plan(1, batch_size=1, micro_batches=1)
    assert batches.load(plan.cut(0), plan.passes(plan.cut(0), rank=0, size=1)[0]).rows == 1


def _normed(collective: Collective, path: str) -> list[tuple[float, list[list[int]]]]:
    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))

    data = Parquet(path=path, features=("x", "z"), target="y", on_bad_rows="skip")
    job = Job(
        model=network, loss="cross_entropy", data=data, shuffle=False, threads=1, batch_size=20, micro_batches=5, epochs=1
    )
    engine = build(job, find_data(job)).engine
    engine.join(collective)
    found = [engine.step(step) for step in range(2)]
    engine.leave()
    assert not any(each.skipped for each in found)
    for each in found:
        for start, stop, high, low, *_ in each.reads.astype(np.uint64).tolist():
            assert (high << 32 | low) % 2**64 == total(stamps(0, np.arange(start, stop)))  # what was left out has been read
    return [(each.weight, each.reads[:, [0, 1, -2, -1]].astype(int).tolist()) for each in found]


@pytest.mark.parametrize("size", [1, 2])
def test_batch_norm_is_not_asked_to_normalize_the_one_row_that_bad_ones_left(size: int, tmp_path: Path) -> None:
    x = np.arange(40, dtype=np.float32)
    x[list(BAD)] = np.nan
    pq.write_table(pa.table({"x": x, "z": x, "y": np.arange(40) % 2}), tmp_path / "t.parquet")
    for (weight, first), (full, _) in run_ranks(_normed, size, str(tmp_path / "t.parquet")):
        assert first == [[0, 4, 0, 4], [4, 8, 4, 0], [8, 12, 0, 4], [12, 16, 2, 2], [16, 20, 4, 0]]
        assert (weight, full) == (10, 20)


@pytest.mark.parametrize("name", ["mlp", "convolutional"])
@pytest.mark.parametrize("exact", [False, True])
def test_micro_batches_left_out_are_like_ones_whose_rows_are_all_bad(name: str, exact: bool) -> None:
    """Of the second step, micro-batches 2 and 3; where passes are merged their rows go out of the middle of one."""
    plan = make_engine(CASES[name]).plan.cut(1)
    engines = [
        make_engine(CASES[name], exact=exact, bad=range(plan.bounds[2], plan.bounds[4])),
        make_engine(CASES[name], exact=exact),
    ]
    engines[0].join(Alone())
    engines[1].join(Alone(), skip=[(2, 2, 4)])
    for step in range(3):
        results = [engine.step(step) for engine in engines]
        assert results[0].weight == results[1].weight
        assert results[0].reads.tolist() == results[1].reads.tolist()
    weights = [engine.replica.weights() for engine in engines]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
