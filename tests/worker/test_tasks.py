"""Jobs that are more than a model and a loss run on the same engine, at any worker count."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from tests.ranks import run_ranks
from tests.worker.jobs import arrays, train_job


@pytest.mark.parametrize("name", ["normed", "gan", "centres"])
@pytest.mark.parametrize("size", [2, 3])
def test_a_task_gives_the_same_run_at_any_worker_count(name: str, size: int) -> None:
    overrides = ("precision=fp64",)
    alone = run_ranks(train_job, 1, name, overrides)[0]
    found = run_ranks(train_job, size, name, overrides)
    for each in [alone, *found]:
        assert each.error is None, each.error
    np.testing.assert_allclose(found[0].losses(), alone.losses(), rtol=1e-9)
    assert found[0].result["validation"] == pytest.approx(alone.result["validation"], rel=1e-9)


@pytest.mark.parametrize("name", ["normed", "gan", "centres"])
def test_exact_gives_the_same_bits(name: str) -> None:
    shas = {run.result["weights_sha256"] for size in (1, 2, 3) for run in run_ranks(train_job, size, name, ("exact=true",))}
    assert len(shas) == 1


def test_both_networks_of_a_gan_move_and_their_losses_are_logged() -> None:
    run = run_ranks(train_job, 1, "gan")[0]
    assert {"real", "generator.loss"} <= set(run.lines[0]["log"])
    logged = [line["log"]["generator.loss"] for line in run.lines if line["kind"] == "step"]
    assert len(set(logged)) == len(logged)


def test_gathered_sums_are_scikit_learns_k_means() -> None:
    whole = ("batch_size=full", "epochs=30", "precision=fp64", "validation=none")
    run = run_ranks(train_job, 2, "centres", whole)[0]
    reference = KMeans(5, init=np.eye(12)[:5], n_init=1, algorithm="lloyd", tol=0).fit(arrays()[0].double().numpy())
    steps = [line for line in run.lines if line["kind"] == "step"]
    assert steps[-1]["log"]["inertia"] == pytest.approx(reference.inertia_, rel=1e-9)
