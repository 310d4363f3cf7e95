"""The phases of a task's cycle with what each of them needs, and their results as one step's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gdist.engine.buffers import keeping_buffers
from gdist.engine.flat import FlatParameters
from gdist.engine.step import StepResult
from gdist.engine.update import Update
from gdist.task.task import Descend, Gather


@dataclass(frozen=True)
class DescendPart:
    """A Descend phase with what it trains: ``parameters`` may be shared with other phases of the cycle."""

    phase: Descend
    parameters: FlatParameters
    update: Update


@dataclass(frozen=True)
class GatherPart:
    """A Gather phase and one contribution as an example of its shapes."""

    phase: Gather
    like: dict[str, Tensor]


Part = DescendPart | GatherPart


def example_contribution(phase: Gather, module: nn.Module, batch: Any, *, seed: int) -> dict[str, Tensor]:
    """What ``phase`` contributes for ``batch``; the shapes that all its contributions must have."""
    device = next(iter(batch.columns.values())).device
    rng = torch.Generator(device=device).manual_seed(seed)
    with torch.no_grad(), keeping_buffers(module):
        return {name: tensor.detach() for name, tensor in phase.contribute(batch, rng).items()}


def merged(results: Sequence[StepResult], names: Sequence[str]) -> StepResult:
    """A cycle's results as one: the loss of the first phase that has one is the step's, the others' stand in ``log`` under
    their names."""
    first = next((r for r in results if not math.isnan(r.lr)), results[0])
    for name, result in zip(names, results, strict=False):  # a cycle that was broken off has fewer results
        if result is not first:
            if not math.isnan(result.lr):
                first.log.setdefault(f"{name}.loss", result.loss)
            first.log.update(result.log)
            for phase, seconds in result.seconds.items():
                first.seconds[phase] = first.seconds.get(phase, 0.0) + seconds
        first.wishes |= result.wishes
        first.skipped |= result.skipped
        first.non_finite = (*first.non_finite, *(n for n in result.non_finite if n not in first.non_finite))
    first.reads = results[0].reads  # all phases load the same positions: a sample counts once a step, as the first read it
    first.compute_s = tuple(map(sum, zip(*(r.compute_s for r in results), strict=True)))
    return first
