"""A run as its updates came: 24 steps of 240, four evaluations, with times that do not change."""

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


RUN = [
    Update(events=[started()]),
    Update(events=[{"event": "generation", **at(2.0), "generation": 1, "workers": 2, "reason": "start"}]),
    Update(lines=[step(number) for number in range(1, 13)]),
    Update(lines=[evaluation(12, 0.4120, 0.9028)], events=[{"event": "evaluation", **at(3.2), "step": 12}]),
    Update(lines=[step(number) for number in range(13, 25)]),
    Update(lines=[evaluation(24, 0.3981, 0.8972)], events=[{"event": "evaluation", **at(4.4), "step": 24}]),
]
