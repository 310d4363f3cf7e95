"""Runs over a mix of sources: the same model at any number of workers, in the proportions asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gdist.data import Mix
from gdist.engine.collective import Alone, Collective
from gdist.errors import JobError
from gdist.job import Job
from gdist.records import Membership, Order, Wishes
from gdist.worker.member import Member
from tests.ranks import run_ranks
from tests.worker.jobs import Trained, arrays, plain


@pytest.fixture(autouse=True)
def _nondeterminism_allowed() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


def mix() -> Mix:
    (x, y), (u, v) = arrays(0), arrays(1)
    return Mix(sources={"many": (x, y), "few": (u[:40], v[:40])}, proportions={"many": 3, "few": 1})


def train(collective: Collective, merge: bool) -> dict[str, Any]:
    job = Job(
        model=plain,
        loss="cross_entropy",
        data=mix(),
        validation=0.1,
        batch_size=24,
        epochs=3,
        threads=1,
        exact=not merge,
    )
    trained = Trained()
    member = Member(Order(job=job), slot=collective.rank, send=trained.send, wishes=Wishes())
    member.prepare()
    member.join(Membership(generation=1, rank=collective.rank, size=collective.size), collective)
    result = member.work()
    return {name: result[name] for name in ("weights_sha256", "validation", "steps")} | {"losses": trained.losses()}


def test_a_mix_trains_to_the_same_bits_at_any_number_of_workers() -> None:
    alone = train(Alone(), False)
    for found in run_ranks(train, 3, False):
        assert found["weights_sha256"] == alone["weights_sha256"]
        assert found["validation"] == alone["validation"]


def test_merged_passes_of_a_mix_give_the_same_losses() -> None:
    exact, merged = train(Alone(), False), train(Alone(), True)
    assert merged["losses"] == pytest.approx(exact["losses"], rel=1e-4)
    assert merged["steps"] == exact["steps"]


def test_a_mix_is_not_trained_on_in_the_order_of_its_rows() -> None:
    with pytest.raises(JobError, match="proportions of a mix cannot be kept with `shuffle`=False"):
        Job(model=plain, loss="cross_entropy", data=mix(), shuffle=False)
