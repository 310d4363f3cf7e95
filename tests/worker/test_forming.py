"""Real processes that die, stop or fail while a generation forms: the others learn of it, and the next one forms in place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.mortals import Mortal, mortals
from tests.ranks import join

CARRIERS = ("sockets", "gloo")
POINTS = ("form_begin", "form_connected", "group_formed")


def form(door: Any, doors: Any, rank: int, carrier: str, generation: int, deadline_s: float = 60.0) -> float:
    """The sum of ones over a generation."""
    collective = join(door, doors, rank=rank, generation=generation, carrier=carrier, deadline_s=deadline_s)
    try:
        ones = torch.ones(1)
        collective.all_reduce(ones).wait()
        return float(ones)
    finally:
        collective.close()


def told_to_form(workers: list[Mortal], carrier: str, generation: int, deadline_s: float = 60.0) -> None:
    for rank, each in enumerate(workers):
        each.do(form, [w.door for w in workers], rank, carrier, generation, deadline_s)


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("action", ["kill", "stop", "raise"])
def test_a_worker_that_fails_while_a_generation_forms_holds_nobody_up(
    carrier: str, point: str, action: str, tmp_path: Path
) -> None:
    flag = tmp_path / "fired"
    for victim in (0, 2):
        flag.unlink(missing_ok=True)
        faults = ["", "", ""]
        faults[victim] = f"{point}:{action}:generation=1:flag={flag}"
        with mortals(3, faults=faults) as workers:
            others = [each for each in workers if each is not workers[victim]]
            # one who has failed but lives on does not hang up: only the deadline is left
            told_to_form(workers, carrier, 1, deadline_s=0.5 if (action, point) == ("raise", "form_begin") else 60.0)
            if action == "raise":
                with pytest.raises(AssertionError, match=f"injected at {point}"):
                    workers[victim].answer()
            elif action == "stop":
                workers[victim].wait_until_stopped()
                workers[victim].kill()
            assert [each.answer()[0] for each in others] == ["PeerLost", "PeerLost"]
            assert flag.exists()
            told_to_form(others, carrier, 2)
            assert [each.answer() for each in others] == [2.0, 2.0]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_worker_that_wakes_up_in_an_older_generation_is_refused(carrier: str, tmp_path: Path) -> None:
    with mortals(3, faults=["", "", "form_begin:stop:generation=1"]) as workers:
        told_to_form(workers, carrier, 1, deadline_s=1.0)
        zombie = workers.pop()
        zombie.wait_until_stopped()
        assert [each.answer()[0] for each in workers] == ["PeerLost", "PeerLost"]
        told_to_form(workers, carrier, 2)
        assert [each.answer() for each in workers] == [2.0, 2.0]
        zombie.go_on()  # it calls at doors of workers that are in a later generation
        told_to_form(workers, carrier, 3)
        assert [each.answer() for each in workers] == [2.0, 2.0]
        assert zombie.answer()[0] == "PeerLost"


@pytest.mark.long
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_thousand_generations_under_torchrun_leave_nothing_behind(carrier: str, tmp_path: Path) -> None:
    shared = set(Path("/dev/shm").glob("torch*"))
    words = ["--nproc-per-node", "2", "-m", "tests.worker.generations", "1000", carrier, str(tmp_path)]
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words], check=True, timeout=300, cwd=Path(__file__).parents[2]
    )
    for rank in range(2):
        warm, end = json.loads((tmp_path / f"{rank}.json").read_text())["seen"]
        assert (end["descriptors"], end["threads"]) == (warm["descriptors"], warm["threads"])
        assert end["kib"] - warm["kib"] < 4000
    assert set(Path("/dev/shm").glob("torch*")) <= shared
