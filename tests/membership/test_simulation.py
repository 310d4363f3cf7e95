"""Thousands of random schedules of faults against the real state machine: safety at every event, then healing and an end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tests.membership.faults import KINDS, PHASES
from tests.membership.mutations import MUTATIONS
from tests.membership.simulator import Simulation, simulate

CI, LONG = 10_000, 100_000
# Nobody's code fails where nobody trains, or where all are at their end.
UNREACHABLE = {("fail", phase) for phase in ("starting", "waiting", "returned")}


def schedules(seeds: range) -> set[tuple[str, str]]:
    """Runs them; returns the pairs of fault and phase that were reached."""
    reached: set[tuple[str, str]] = set()
    for seed in seeds:
        reached |= one(seed).reached
    return reached


def one(seed: int) -> Simulation:
    try:
        return simulate(seed)
    except Exception as error:
        pytest.fail(f"{type(error).__name__}: {error}\nto see it: python -m tests.membership.simulator {seed}")


def test_no_schedule_of_faults_breaks_an_invariant_and_each_fault_meets_each_phase() -> None:
    reached = schedules(range(CI))
    missing = {(kind, phase) for kind in KINDS for phase in PHASES} - reached - UNREACHABLE
    assert not missing, f"a green run that never reached these proves nothing of them: {sorted(missing)}"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_schedule_of_a_hundred_thousand_breaks_an_invariant() -> None:
    schedules(range(CI, CI + LONG))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_the_simulation_catches_a_known_bug(mutation: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
    with mutation():
        for seed in range(5000):
            try:
                simulate(seed)
            except AssertionError:  # of an invariant, the simulation's or the machine's own
                return
    pytest.fail(f"{mutation.__doc__} No schedule has shown it.")


def test_a_schedule_is_the_same_each_time() -> None:
    told: list[list[str]] = [[], []]
    for lines in told:
        simulate(7, told=lines.append)
    assert told[0] == told[1]
    assert len(told[0]) > 10
