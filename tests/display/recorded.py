"""A run as its updates came: 24 steps of 240, two evaluations, with times that do not change; and how it lost a worker, went
on with the other, and had it replaced."""

from __future__ import annotations

from typing import Any

from gdist.records import Update

BEGUN = 1_000_000.0  # wall clock of the command, s


def at(seconds: float) -> dict[str, float]:
    return {"time": BEGUN + seconds, "monotonic": seconds}


def started(**other: Any) -> dict[str, Any]:
    return {
        "event": "started",
        **at(2.0),
        "run": "digits",
        "run_dir": "runs/digits",
        "workers": 2,
        "parameters": 37_770,
        "samples": 1_437,
        "validation_samples": 360,
        "steps_per_epoch": 12,
        "total_steps": 240,
        "epochs": 20,
        "step": 0,
        "resumed": False,
        **other,
    }


def step(number: int, **other: Any) -> dict[str, Any]:
    return {
        "kind": "step",
        "step": number,
        "epoch": (number - 1) // 12 + 1,
        "loss": 2.4 / number,
        "lr": 0.003,
        "grad_norm": 1.2345,
        "samples": 128,
        "workers": 2,
        "generation": 1,
        "skipped": False,
        "seconds": {},
        "log": {},
        "time": BEGUN + 2.0 + number * 0.1,
        **other,
    }


def evaluation(number: int, loss: float, accuracy: float) -> dict[str, Any]:
    return {
        "kind": "evaluation",
        "step": number,
        "epoch": number // 12,
        "train": {"loss": 0.6713},
        "validation": {"loss": loss, "accuracy": accuracy},
        "workers": 2,
        "generation": 1,
        "seconds": 0.1,
        "time": BEGUN + 2.0 + number * 0.1,
    }


def happened(name: str, after: float, /, **fields: Any) -> dict[str, Any]:
    return {"event": name, **at(after), **fields}


def generation(number: int, members: list[int], after: float = 2.0, /, **fields: Any) -> dict[str, Any]:
    return happened("generation", after, generation=number, workers=len(members), members=members, **fields)


RUN = [
    Update(events=[started()]),
    Update(events=[generation(1, [0, 1], joined=[0, 1], left=[], reason="start", step=0)]),
    Update(lines=[step(number) for number in range(1, 13)]),
    Update(lines=[evaluation(12, 0.4120, 0.9028)], events=[{"event": "evaluation", **at(3.2), "step": 12}]),
    Update(lines=[step(number) for number in range(13, 25)]),
    Update(lines=[evaluation(24, 0.3981, 0.8972)], events=[{"event": "evaluation", **at(4.4), "step": 24}]),
]

LOST = happened(
    "worker_lost", 4.5, worker=1, host="gpu-b", cause="killed by SIGKILL", step=24, last_lines=["", "loading shard 7 of 9"]
)
ALONE = generation(2, [0], 4.7, joined=[], left=[1], reason="worker 1 was lost", step=24, pause_seconds=0.214)
HIRED = happened("worker_hired", 4.7, worker=1, incarnation=1)
BACK = generation(3, [0, 1], 9.0, joined=[1], left=[], reason="worker 1 is ready", step=36, pause_seconds=0.08)
KILLED = [
    *RUN,
    Update(events=[LOST]),
    Update(events=[HIRED, ALONE], lines=[step(number, workers=1, generation=2) for number in range(25, 37)]),
    Update(events=[BACK], lines=[step(number, workers=2, generation=3) for number in range(37, 49)]),
]
