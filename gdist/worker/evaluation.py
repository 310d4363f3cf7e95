"""Validation loss and metrics, computed by all workers together and combined exactly: sums and counts, never a mean of means.

The validation samples are cut into batches, and these into as many groups as the step has micro-batches; a worker evaluates
its share of the groups. What each group found travels whole and is added in the order of the groups, so that the result is
the same bits at any number of workers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gdist.engine.buffers import keeping_buffers
from gdist.engine.collective import Collective
from gdist.engine.flat import Layout
from gdist.engine.plan import owned
from gdist.engine.precision import Precision
from gdist.engine.streams import Streams
from gdist.task.metrics import Metrics
from gdist.task.task import Loss, Task

if TYPE_CHECKING:
    from gdist.data.feed import Feed

ROWS = 256  # samples in an evaluation batch, at most

Found = dict[str, Tensor]


class Evaluation:
    """``groups``: a number of the job; ``metrics``: names."""

    def __init__(
        self,
        task: Task,
        feed: Feed,
        *,
        metrics: Sequence[str],
        groups: int,
        precision: Precision,
        seed: int,
        device: torch.device,
    ) -> None:
        self._task, self._feed, self._precision = task, feed, precision
        self._streams = Streams(seed, device)
        self._device = device
        rows = max(1, min(ROWS, -(-len(feed) // groups)))
        bounds = [*range(0, len(feed), rows), len(feed)]
        self._batches = list(itertools.pairwise(bounds))
        self._groups = min(groups, len(self._batches))
        self._metrics = Metrics(metrics) if metrics else None

    def run(self, collective: Collective) -> dict[str, float]:
        """The weighted mean loss, what the loss logs, and the metrics, over all validation samples."""
        module = self._task.module
        training = {m: m.training for m in module.modules()}
        module.eval()
        try:
            with torch.no_grad(), keeping_buffers(module):
                found = [self._group(g) for g in owned(self._groups, rank=collective.rank, size=collective.size)]
                return self._combine(found, collective)
        finally:
            for child, mode in training.items():
                child.training = mode

    def _group(self, group: int) -> Found:
        """What a group's batches add up to: ``sum/NAME`` of losses times weights, ``loss/weight``, ``metric/NAME``."""
        sums: Found = {}
        if self._metrics is not None:
            self._metrics.reset()
        for b in owned(len(self._batches), rank=group, size=self._groups):
            batch = self._feed.take(0, *self._batches[b])
            self._streams.begin(step=0, phase=-1, micro_batch=b)
            with self._precision.autocast():
                mean, weight, log = Loss.parts(self._task.evaluate(batch), rows=batch.rows)
                if self._metrics is not None:
                    self._metrics.update(self._task.predict(batch), batch.target)
            for name, value in {"loss": mean, **log}.items():
                _add(sums, f"sum/{name}", torch.as_tensor(value, dtype=torch.float64, device=self._device) * weight)
            _add(sums, "loss/weight", torch.as_tensor(weight, dtype=torch.float64, device=self._device))
        states = self._metrics.states() if self._metrics is not None else {}
        return sums | {f"metric/{name}": state for name, state in states.items()}

    def _combine(self, found: list[Found], collective: Collective) -> dict[str, float]:
        """Adds the groups of all workers in the order of the groups. In float64, where counts stay exact."""
        like = found[0] if found else self._group(0)  # fewer groups than workers: only the shapes are wanted
        names = sorted(like)
        layout = Layout.of(like[name] for name in names)
        rows = torch.zeros((self._groups, layout.elements), dtype=torch.float64, device=self._device)
        for g, group in zip(owned(self._groups, rank=collective.rank, size=collective.size), found, strict=True):
            for view, name in zip(layout.views(rows[g]), names, strict=True):
                view.copy_(group[name])
        collective.all_reduce(rows).wait()
        added = rows[0].cpu()
        for g in range(1, self._groups):
            added += rows[g].cpu()
        sums = {n: view.to(like[n].dtype) for n, view in zip(names, layout.views(added), strict=True)}
        weight = float(sums["loss/weight"])
        values = {}
        for name, total in sums.items():
            if name.startswith("sum/"):
                values[name.split("/", 1)[1]] = float(total) / weight if weight else math.nan
        if self._metrics is not None:
            values |= self._metrics.compute({n.split("/", 1)[1]: v for n, v in sums.items() if n.startswith("metric/")})
        return values


def _add(sums: Found, name: str, value: Tensor) -> None:
    sums[name] = sums[name] + value if name in sums else value
