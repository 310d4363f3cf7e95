"""Runs over split data: validation and test losses are those of exactly the rows held out, at any number of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gdist.data import Split, Tensors
from gdist.data.split import divide
from gdist.engine.collective import Alone, Collective
from gdist.job import Job
from gdist.records import Membership, Order, Wishes
from gdist.worker.member import Member
from tests.ranks import run_ranks
from tests.worker.jobs import Trained, arrays, plain

X, Y = arrays()
SPLITS: dict[str, dict[str, Any]] = {
    "shares": {"validation": 0.2, "test": 0.1},
    "groups": {"validation": Split(share=0.2, test=0.2, group="user")},
    "classes": {"validation": Split(share=0.2, stratify=True), "test": 0.2},
    "column": {"validation": Split(column="part", validation=1, test=2)},
    "sources": {"validation": (X[:30], Y[:30]), "test": (X[30:50], Y[30:50])},
    "test alone": {"test": 0.3},
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "cache"))
    yield
    torch.use_deterministic_algorithms(False)


def job(split: str, **fields: Any) -> Job:
    extra = {"user": torch.arange(90) // 6, "part": torch.arange(90) % 4}
    common: dict[str, Any] = {"batch_size": 24, "epochs": 2, "threads": 1, "metrics": ["accuracy"], "exact": True}
    data = Tensors(features=X, target=Y, extra=extra)
    return Job(model=plain, loss="cross_entropy", data=data, **common, **SPLITS[split], **fields)


def train(collective: Collective, split: str) -> tuple[Trained, nn.Module]:
    trained = Trained()
    member = Member(Order(job=job(split)), slot=collective.rank, send=trained.send, wishes=Wishes())
    member.prepare()
    member.join(Membership(generation=1, rank=collective.rank, size=collective.size), collective)
    trained.result = member.work()
    return trained, member.built.task.module


def results(collective: Collective, split: str) -> dict[str, Any]:
    return {name: value for name, value in train(collective, split)[0].result.items() if name in ("validation", "test")}


def held_out(split: str, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    made = job(split)
    source = getattr(made, part)
    if isinstance(source, Tensors):
        return source.features, source.target
    asked = made.validation if isinstance(made.validation, Split) else Split(share=made.validation, test=made.test)
    if isinstance(made.test, float):
        asked = asked.replace({"test": made.test})
    index = getattr(divide(made.data.open(), asked, seed=made.seed), part)
    rows = torch.from_numpy(index.rows())
    return X[rows], Y[rows]


@pytest.mark.parametrize("split", list(SPLITS))
def test_losses_are_those_of_the_rows_held_out_by_the_final_weights(split: str) -> None:
    trained, module = train(Alone(), split)
    module.eval()
    for part in ("validation", "test") if split != "test alone" else ("test",):
        features, target = held_out(split, part)
        with torch.no_grad():
            outputs = module(features)
        assert trained.result[part]["loss"] == pytest.approx(float(nn.functional.cross_entropy(outputs, target)), rel=1e-5)
        assert trained.result[part]["accuracy"] == pytest.approx(float((outputs.argmax(1) == target).float().mean()))
        assert trained.named("started")[0][f"{part}_samples"] == len(features)
    if split == "test alone":
        assert trained.result["validation"] is None


def test_no_row_that_is_held_out_is_trained_on() -> None:
    trained, _ = train(Alone(), "groups")
    held = sum(len(held_out("groups", part)[0]) for part in ("validation", "test"))
    assert trained.named("started")[0]["samples"] == 90 - held


@pytest.mark.parametrize("split", ["groups", "shares"])
def test_the_test_is_the_same_at_any_number_of_workers(split: str) -> None:
    alone = results(Alone(), split)
    assert alone["test"]["loss"] > 0
    for found in run_ranks(results, 3, split):
        assert found == alone


def test_a_run_without_test_data_has_no_test() -> None:
    made = Job(model=plain, loss="cross_entropy", data=(X, Y), validation=0.1, epochs=1, threads=1)
    member = Member(Order(job=made), slot=0, send=Trained().send, wishes=Wishes())
    member.prepare()
    member.join(Membership(generation=1, rank=0, size=1), Alone())
    assert member.work()["test"] is None


def test_a_run_that_somebody_stops_is_not_tested() -> None:
    wishes = Wishes()
    wishes.add("stop", reason="enough")
    member = Member(Order(job=job("shares")), slot=0, send=Trained().send, wishes=wishes)
    member.prepare()
    member.join(Membership(generation=1, rank=0, size=1), Alone())
    result = member.work()
    assert (result["status"], result["test"]) == ("stopped", None)


def test_a_class_of_one_row_is_spoken_of() -> None:
    target = np.array([0] * 10 + [1] * 10 + [2])
    made = Job(
        model=plain,
        loss="cross_entropy",
        data=(X[:21], target),
        validation=Split(share=0.3, stratify=True),
        epochs=1,
        threads=1,
    )
    trained = Trained()
    member = Member(Order(job=made), slot=0, send=trained.send, wishes=Wishes())
    member.prepare()
    member.join(Membership(generation=1, rank=0, size=1), Alone())
    member.work()
    assert any("has a single row, which stays in training" in each["text"] for each in trained.named("explained"))
