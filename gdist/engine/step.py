"""The training step: cut, forward, backward, reduce, decide, update, report.

    g = sum_i w_i grad(mean_i) / sum_i w_i        over the step's micro-batches i, whoever computed them

The gradient of a step does not depend on how many workers share its micro-batches. Nothing changes before the last
collective has returned and every worker's control row has been checked; then everything changes, or nothing does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from gdist.engine.buffers import MovingBuffers
from gdist.engine.control import Control
from gdist.engine.gradients import FlatGradients
from gdist.engine.plan import Cut, Pass, Plan
from gdist.engine.precision import Precision
from gdist.engine.streams import Streams
from gdist.engine.update import Update, decide
from gdist.fault_points import fault_point
from gdist.task.task import Loss

At = Callable[[str, int, int, int], None]
"""Hears where the training thread is from now on: "data", "compute", "reduce" or "update"; the step, counted from 1; and the
micro-batches of the pass, [first, last) (-1, -1: none)."""


def nobody(where: str, step: int, first: int, last: int) -> None:
    """Nobody wants to know."""


class Sums(Protocol):
    """How gradients are summed over passes and workers: ``Gradients`` or ``ExactGradients``."""

    storage: FlatGradients

    @property
    def has_gradient(self) -> list[bool]: ...
    def open(self, parts: int) -> None: ...
    def extra(self, part: int) -> Tensor: ...
    def add(self, mean: Tensor, coefficient: Tensor, *, part: int, last: bool) -> None: ...
    def skip(self, part: int) -> None: ...
    def reduce(self) -> None: ...
    def close(self) -> None: ...


@dataclass
class StepResult:
    """What a step did. ``loss``: the mean over the global batch, by the micro-batches' weights, which add up to ``weight``;
    ``seconds`` by phase, of this worker; ``compute_s`` of each worker; ``skipped``: nothing was applied since loss or gradient
    were not finite;
    ``next``: the generation that all workers are to enter now, or 0; ``reads``: what the passes of all workers read, as in
    ``Report``."""

    step: int
    epoch: int
    loss: float
    grad_norm: float
    lr: float
    samples: int
    weight: float
    skipped: bool
    clipped: bool
    wishes: int
    next: int
    seconds: dict[str, float]
    compute_s: tuple[float, ...]
    reads: np.ndarray
    non_finite: tuple[int, ...] = ()
    log: dict[str, float] = field(default_factory=dict)


def train_step(
    step: int,
    *,
    plan: Plan,
    rank: int,
    size: int,
    load: Callable[[Cut, Pass], Any],
    loss: Callable[[Any], Loss | Tensor],
    streams: Streams,
    precision: Precision,
    buffers: MovingBuffers,
    sums: Sums,
    control: Control,
    update: Update,
    phase: int = 0,
    wishes: int = 0,
    weights_hash: int | None = None,
    next_generation: int = 0,
    at: At = nobody,
) -> StepResult:
    """Step ``step``, as worker ``rank`` of ``size``. ``load(cut, share)`` gives the samples of one pass, a batch with
    its number of ``rows``. Raises PeerLost, ReplicasDiffer, or what the user's loss raises; then nothing
    has changed."""
    clock = Clock()
    cut = plan.cut(step)
    shares = plan.passes(cut, rank=rank, size=size)
    control.open(cut, phase=phase, wishes=wishes, weights_hash=weights_hash, next_generation=next_generation)
    buffers.open()
    sums.open(cut.micro_batches)

    for share in shares:
        last = share.first + share.count
        at("data", step + 1, share.first, last)
        batch = load(cut, share)
        at("compute", step + 1, share.first, last)
        clock.mark("data")
        control.read(share, stamp=batch.stamp, used=batch.rows, bad=batch.bad)
        if not batch.rows:  # all of them bad
            sums.skip(share.first)
            continue
        streams.begin(step=step, phase=phase, micro_batch=share.first)
        buffers.rewind()
        with precision.autocast():
            mean, weight, log = Loss.parts(loss(batch), rows=batch.rows)
        coefficient = _coefficient(weight, precision.scale / cut.rows, like=mean)
        buffers.collect(sums.extra(share.first), coefficient)
        clock.mark("forward")
        sums.add(_followed(mean, coefficient), coefficient, part=share.first, last=share is shares[-1])
        control.note(share, mean=mean, weight=weight, log=log)
        clock.mark("backward")

    at("reduce", step + 1, -1, -1)
    fault_point("before_reduce", phase=phase)
    control.encode(sums.storage.control, has_gradient=sums.has_gradient, compute_s=clock.spent("forward", "backward"))
    sums.reduce()
    report = control.decode(sums.storage.control)
    clock.mark("reduce")
    fault_point("after_reduce", phase=phase)
    at("update", step + 1, -1, -1)

    verdict = decide(sums.storage.gradients, report, nominal=cut.rows, scale=precision.scale, clip_norm=update.clip_norm)
    buffers.rewind()
    if verdict.finite and report.weight:
        update.apply(step, sums.storage, report, verdict)
        buffers.commit(sums.storage.extra, verdict.mean_factor)
    precision.learn(finite=verdict.finite)
    clock.mark("update")
    fault_point("after_update", phase=phase)

    return StepResult(
        step=step,
        epoch=cut.epoch,
        loss=report.loss,
        grad_norm=verdict.grad_norm,
        lr=update.learning_rate(step),
        samples=cut.rows,
        weight=report.weight,
        skipped=not verdict.finite,
        clipped=verdict.clipped,
        wishes=report.wishes,
        next=report.next,
        seconds=clock.seconds,
        compute_s=report.compute_s,
        reads=report.reads,
        non_finite=report.non_finite,
        log=report.log,
    )


class Clock:
    """Seconds by phase: ``mark(name)`` books the time since the last mark under ``name``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now

    def spent(self, *names: str) -> float:
        return sum(self.seconds.get(name, 0.0) for name in names)


def _followed(mean: Tensor, coefficient: Tensor) -> Tensor:
    """The loss whose gradient is followed: a pass without weight has none, not even where its mean is 0/0."""
    return mean if coefficient.item() else mean.new_zeros((), requires_grad=True)


def _coefficient(weight: Tensor | float, scale: float, *, like: Tensor) -> Tensor:
    """The pass's share of the step's gradient, as a scalar tensor of the loss's dtype and device."""
    if isinstance(weight, Tensor):
        return (weight.detach() * scale).to(dtype=like.dtype, device=like.device)
    return torch.full((), weight * scale, dtype=like.dtype, device=like.device)
