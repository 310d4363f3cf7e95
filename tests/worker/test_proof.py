"""What a worker proves before it is admitted: the same job, code and data, and that its machine computes the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdist.job import Job
from gdist.membership.hiring import differences
from gdist.records import Order, Wishes
from gdist.worker.member import Member
from tests.worker.jobs import arrays


@pytest.fixture(autouse=True)
def _nondeterminism_allowed() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


class Machine(nn.Module):
    """A model on a machine that may round one number of a gradient the other way; its loss is the same."""

    rounds_up = False

    def __init__(self) -> None:
        super().__init__()
        first = nn.Linear(12, 16)
        self.layers = nn.Sequential(first, nn.Tanh(), nn.Linear(16, 4))
        first.weight.register_hook(self._rounded)

    def _rounded(self, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        if Machine.rounds_up:
            gradient[3, 5] = torch.nextafter(gradient[3, 5], torch.tensor(torch.inf))
        return gradient

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def proof(exact: bool = True) -> dict[str, Any]:
    job = Job(model=Machine, loss="cross_entropy", data=arrays(), batch_size=24, epochs=1, exact=exact)
    member = Member(Order(job=job), slot=0, send=lambda update: None, wishes=Wishes())
    try:
        found: dict[str, Any] = member.prepare()["proof"]
        return found
    finally:
        member.close()


def test_a_machine_that_rounds_one_number_of_a_gradient_otherwise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    first = proof()
    assert differences(first, proof()) == ""
    monkeypatch.setattr(Machine, "rounds_up", True)
    assert differences(first, proof()) == "the bits of a reference micro-batch's gradient"


def test_workers_of_a_job_that_is_not_exact_may_differ_in_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    first = proof(exact=False)
    monkeypatch.setattr(Machine, "rounds_up", True)
    assert differences(first, proof(exact=False)) == ""
