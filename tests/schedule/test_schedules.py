"""Schedules agree with torch's own and with their formulas, and are known at any step without history."""

from __future__ import annotations

import math
import random

import pytest
import torch

from gdist.errors import JobError
from gdist.schedule import Constant, Cosine, Linear, Schedule, StepDecay, WarmupStableDecay, as_schedule, named_schedules

TOTAL = 57
EVERY_KIND = [
    Constant(warmup=7),
    StepDecay(every=9, gamma=0.5, warmup=7),
    Cosine(warmup=7, final=0.1),
    Linear(warmup=7, final=0.2),
    WarmupStableDecay(warmup=7, decay=0.3),
    Cosine(),
    Linear(steps=40),
]


def factors(schedule: Schedule, *, total: int | None = TOTAL, steps: int = TOTAL) -> list[float]:
    return [schedule.factor(step, total=total) for step in range(steps)]


def torchs(make: type, steps: int = TOTAL, **arguments: object) -> list[float]:
    """The factors that a torch scheduler gives step by step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **arguments)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_cosine_is_torchs_cosine_annealing() -> None:
    theirs = torchs(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=TOTAL, eta_min=0.1)
    assert factors(Cosine(final=0.1)) == pytest.approx(theirs, rel=1e-9)


def test_linear_is_torchs_linear() -> None:
    theirs = torchs(torch.optim.lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.25, total_iters=TOTAL)
    assert factors(Linear(final=0.25)) == pytest.approx(theirs, rel=1e-9)


def test_step_decay_is_torchs_step() -> None:
    theirs = torchs(torch.optim.lr_scheduler.StepLR, step_size=10, gamma=0.3)
    assert factors(StepDecay(every=10, gamma=0.3)) == pytest.approx(theirs, rel=1e-9)


def test_warmup_stable_decay_is_its_formula_given_to_torchs_lambda() -> None:
    def formula(step: int) -> float:
        if step < 5:
            return (step + 1) / 5
        begins = TOTAL - round(0.25 * (TOTAL - 5))
        return 1.0 if step < begins else 1.0 - 0.9 * (step - begins) / (TOTAL - begins)

    theirs = torchs(torch.optim.lr_scheduler.LambdaLR, lr_lambda=formula)
    assert factors(WarmupStableDecay(warmup=5, decay=0.25, final=0.1)) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("schedule", [s for s in EVERY_KIND if s.warmup], ids=lambda s: s.kind)
def test_the_rate_grows_linearly_to_its_full_height_in_the_warm_up_and_starts_its_shape_there(schedule: Schedule) -> None:
    assert factors(schedule)[:7] == pytest.approx([(step + 1) / 7 for step in range(7)])
    assert schedule.factor(7, total=TOTAL) == 1.0


@pytest.mark.parametrize("schedule", EVERY_KIND, ids=lambda s: f"{s.kind}-{s.warmup}-{s.steps}")
def test_a_schedule_is_known_at_any_step_without_history(schedule: Schedule) -> None:
    in_order = factors(schedule)
    steps = list(range(TOTAL))
    random.Random(0).shuffle(steps)
    asked_at_random = {step: schedule.factor(step, total=TOTAL) for step in steps}
    asked_of_a_fresh_one = [type(schedule)(**schedule.given()).factor(step, total=TOTAL) for step in range(TOTAL)]
    assert [asked_at_random[step] for step in range(TOTAL)] == in_order == asked_of_a_fresh_one


@pytest.mark.parametrize("schedule", EVERY_KIND, ids=lambda s: f"{s.kind}-{s.warmup}-{s.steps}")
def test_factors_stay_between_zero_and_one_and_keep_their_last_value_after_the_end(schedule: Schedule) -> None:
    late = factors(schedule, steps=3 * TOTAL)
    assert all(0.0 <= factor <= 1.0 for factor in late)
    if not isinstance(schedule, StepDecay):
        assert len(set(late[TOTAL:])) == 1


@pytest.mark.parametrize("kind", [Cosine, Linear, WarmupStableDecay])
def test_a_schedule_with_an_end_comes_to_its_final_value_there(kind: type[Schedule]) -> None:
    assert kind(final=0.125).factor(TOTAL, total=TOTAL) == pytest.approx(0.125)
    assert kind(final=0.125, steps=20).factor(20, total=None) == pytest.approx(0.125)


def test_own_steps_count_before_the_run_s() -> None:
    assert factors(Cosine(steps=20), total=1000, steps=20) == factors(Cosine(), total=20, steps=20)


def test_an_unknown_end_is_refused_only_where_the_shape_needs_it() -> None:
    assert Constant(warmup=2).factor(9, total=None) == 1.0
    assert StepDecay(every=4).factor(9, total=None) == pytest.approx(0.01)
    assert Cosine().needs_total
    assert not Cosine(steps=10).needs_total
    with pytest.raises(JobError, match="must know where the run ends"):
        Cosine().factor(3, total=None)


def test_a_step_of_a_run_of_a_trillion_steps_is_as_quick() -> None:
    assert Cosine().factor(5 * 10**11, total=10**12) == pytest.approx(0.5)
    assert math.isfinite(StepDecay(every=1).factor(10**6, total=None))


def test_every_schedule_is_found_by_its_name() -> None:
    assert set(named_schedules()) == {"constant", "step_decay", "cosine", "linear", "warmup_stable_decay"}
    assert as_schedule("cosine") == Cosine()
    assert as_schedule({"kind": "step_decay", "every": 3}) == StepDecay(every=3)
    assert as_schedule(Linear) == Linear()
