"""To the end of training in float32, where rounding grows: the worker count shifts nothing that can be detected."""

import numpy as np
import pytest

from tests.ranks import run_ranks
from tests.worker.jobs import train_job

SEEDS = range(8)


@pytest.mark.long
@pytest.mark.parametrize("name", ["plain", "normed", "gan"])
def test_final_validation_loss_over_8_seeds_does_not_shift_with_the_worker_count(name: str) -> None:
    final = {
        size: np.array(
            [
                run_ranks(train_job, size, name, (f"seed={seed}", "epochs=15", "micro_batches=4"))[0].result["validation"][
                    "loss"
                ]
                for seed in SEEDS
            ]
        )
        for size in (1, 2, 3, 4)
    }
    for size in (2, 3, 4):
        shift = final[size] - final[1]  # paired by seed
        noise = final[1].std(ddof=1)
        assert abs(shift.mean()) <= 0.02 * noise, f"{size} workers: {shift}"
