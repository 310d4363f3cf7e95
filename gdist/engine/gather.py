"""A phase that gathers sums over the micro-batches (statistics, histograms, cluster centres) instead of a gradient.

Contributions are summed, or merged as the phase says, in float64 along the fixed tree: the same bits at any number of workers,
in every mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from gdist.engine.buffers import keeping_buffers
from gdist.engine.collective import Collective
from gdist.engine.control import Control
from gdist.engine.flat import Layout
from gdist.engine.plan import Cut, Pass, Plan
from gdist.engine.step import At, Clock, StepResult, nobody
from gdist.engine.streams import Streams, mix
from gdist.engine.tree import TreeSum
from gdist.fault_points import fault_point
from gdist.task.task import Gather

Merge = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Mapping[str, Tensor]]


class GatherSums:
    """The sums of one Gather phase. ``like``: one contribution, whose names, shapes and dtypes all must have; ``merge``: the
    phase's."""

    def __init__(self, like: Mapping[str, Tensor], collective: Collective, *, control: int, merge: Merge | None = None) -> None:
        self._collective = collective
        self._merge = merge
        self._like = dict(sorted(like.items()))
        self._layout = Layout.of(self._like.values())
        device = next(iter(self._like.values())).device
        self.flat = torch.zeros(self._layout.elements, dtype=torch.float64, device=device)
        self.control = torch.zeros(control, dtype=torch.float64, device=device)
        self._tree = TreeSum(
            collective,
            elements=self._layout.elements,
            dtype=torch.float64,
            device=device,
            merge=self._merged if merge else None,
        )

    def open(self, parts: int) -> None:
        self._tree.open(parts)

    def add(self, contribution: Mapping[str, Tensor], *, part: int) -> None:
        vector = self._tree.vector()
        for view, name in zip(self._layout.views(vector), self._like, strict=True):
            view.copy_(contribution[name])
        self._tree.insert(part, vector)

    def skip(self, part: int) -> None:
        """For a micro-batch without rows."""
        self._tree.insert(part, self._tree.vector().zero_())

    def _merged(self, left: Tensor, right: Tensor) -> Tensor:
        assert self._merge is not None
        into, other = (dict(zip(self._like, self._layout.views(vector), strict=True)) for vector in (left, right))
        merged = self._merge(dict(into), other)
        for name, view in into.items():
            if merged[name] is not view:
                view.copy_(merged[name])
        return left

    def reduce(self) -> dict[str, Tensor]:
        controls = self._collective.all_reduce(self.control)
        self._tree.reduce(self.flat)
        controls.wait()
        views = zip(self._like.items(), self._layout.views(self.flat), strict=True)
        return {name: (view if like.is_floating_point() else view.round()).to(like.dtype) for (name, like), view in views}


@torch.no_grad()
def gather_step(
    step: int,
    *,
    phase: Gather,
    module: nn.Module,
    number: int,
    plan: Plan,
    rank: int,
    size: int,
    load: Callable[[Cut, Pass], Any],
    streams: Streams,
    seed: int,
    sums: GatherSums,
    control: Control,
    wishes: int = 0,
    weights_hash: int | None = None,
    next_generation: int = 0,
    at: At = nobody,
) -> StepResult:
    """As ``train_step``, for a Gather phase; ``plan`` must not merge passes. The result has no loss (NaN); it is skipped, and
    nothing applied, where a sum is not finite."""
    clock = Clock()
    cut = plan.cut(step)
    control.open(cut, phase=number, wishes=wishes, weights_hash=weights_hash, next_generation=next_generation)
    sums.open(cut.micro_batches)
    for share in plan.passes(cut, rank=rank, size=size):
        last = share.first + share.count
        at("data", step + 1, share.first, last)
        batch = load(cut, share)
        at("compute", step + 1, share.first, last)
        clock.mark("data")
        control.read(share, stamp=batch.stamp, used=batch.rows, bad=batch.bad)
        if not batch.rows:  # all of them bad
            sums.skip(share.first)
            continue
        streams.begin(step=step, phase=number, micro_batch=share.first)
        rng = Generator(device=sums.flat.device).manual_seed(mix(seed, step, number, share.first))
        with keeping_buffers(module):  # whatever moves in forward is not part of a gathered sum
            contribution = phase.contribute(batch, rng)
        sums.add(contribution, part=share.first)
        control.note(share, mean=sums.flat.new_zeros(()), weight=batch.rows, log={})
        clock.mark("forward")
    at("reduce", step + 1, -1, -1)
    fault_point("before_reduce", phase=number)
    control.encode(sums.control, has_gradient=(), compute_s=clock.spent("forward"))
    totals = sums.reduce()
    report = control.decode(sums.control)
    clock.mark("reduce")
    fault_point("after_reduce", phase=number)
    at("update", step + 1, -1, -1)
    finite = all(bool(torch.isfinite(total).all()) for total in totals.values())
    log = {name: float(value) for name, value in (phase.apply(totals) or {}).items()} if finite and report.weight else {}
    clock.mark("update")
    fault_point("after_update", phase=number)
    return StepResult(
        step=step, epoch=cut.epoch, loss=math.nan, grad_norm=math.nan, lr=math.nan, samples=cut.rows, weight=report.weight,
        skipped=not finite, clipped=False,
        wishes=report.wishes, next=report.next, seconds=clock.seconds, compute_s=report.compute_s, reads=report.reads, log=log,
    )  # fmt: skip
