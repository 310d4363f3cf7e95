"""What the passes of a step read, as all workers know it; and passes of which no row is left."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from gdist.data.identity import stamps, total
from gdist.engine.collective import Alone, Collective
from gdist.engine.step import StepResult
from gdist.run.tensors import weights_sha256
from tests.engine.cases import CASES, ROWS, make_engine, order
from tests.ranks import run_ranks

STEPS = 10  # two epochs
# All of two micro-batches of a step, some of another, a whole worker's share of a step, the whole of the short step.
BAD = (*range(3, 9), 10, *range(24, 37), *range(96, 107))


def spans(reads: np.ndarray) -> list[tuple[int, ...]]:
    """(first position, one past the last, stamp, rows used, rows left out) of each pass."""
    return [(a, b, high << 32 | low, used, bad) for a, b, high, low, used, bad in reads.astype(np.uint64).tolist()]


def _steps(collective: Collective, name: str, exact: bool, bad: tuple[int, ...]) -> tuple[list[StepResult], str, list[float]]:
    engine = make_engine(CASES[name], exact=exact, bad=bad)
    engine.join(collective)
    results = [engine.step(n) for n in range(STEPS)]
    weights = engine.replica.weights()
    engine.leave()
    flat = torch.cat([w.reshape(-1).double() for w in weights.values()])
    return results, weights_sha256(weights), flat.tolist()


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_workers_know_what_each_pass_has_read(size: int, exact: bool) -> None:
    runs = run_ranks(_steps, size, "mlp", exact, BAD)
    for results, *_ in runs:
        for number, result in enumerate(results):
            epoch = number // 5
            said = spans(result.reads)
            assert said[0][0] == number % 5 * 24
            assert said[-1][1] == min(ROWS, number % 5 * 24 + 24)
            for (_, stop, *_), (start, *_) in pairwise(said):
                assert stop == start
            for start, stop, stamp, used, bad in said:
                assert stamp == total(stamps(0, order(epoch)[start:stop].numpy()))
                assert bad == sum(i in BAD for i in range(start, stop))
                assert used == stop - start - bad


@pytest.mark.parametrize("name", ["mlp", "convolutional"])
def test_exact_weights_are_the_same_bits_where_micro_batches_have_no_row_left(name: str) -> None:
    hashes = {run[1] for size in (1, 2, 3) for run in run_ranks(_steps, size, name, True, BAD)}
    assert len(hashes) == 1


@pytest.mark.parametrize("name", ["mlp", "regression", "branching"])
def test_rows_left_out_count_nowhere(name: str) -> None:
    alone, two, three = (run_ranks(_steps, size, name, False, BAD)[0] for size in (1, 2, 3))
    for other in (two, three):
        assert other[2] == pytest.approx(alone[2], rel=1e-9, abs=1e-12)
        assert [r.loss for r in other[0]] == pytest.approx([r.loss for r in alone[0]], rel=1e-9)
    assert [r.weight for r in alone[0]] == [17, 11, 24, 24, 0] * 2


def test_a_step_without_a_row_changes_nothing() -> None:
    engine = make_engine(CASES["mlp"], bad=range(24, 48))
    engine.join(Alone())
    engine.step(0)
    before = weights_sha256(engine.replica.weights())
    result = engine.step(1)
    assert (result.weight, result.loss, result.skipped) == (0, 0, False)
    assert weights_sha256(engine.replica.weights()) == before
    engine.step(2)
    assert weights_sha256(engine.replica.weights()) != before
