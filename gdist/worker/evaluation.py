"""Validation loss and metrics, computed by all workers together and combined exactly: sums and counts, never a mean of means.

The validation samples are cut into batches, and these into as many groups as the step has micro-batches; a worker evaluates
its share of the groups. What each group found travels whole and is added in the order of the groups, so that the result is
the same bits at any number of workers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gdist.engine.buffers import keeping_buffers
from gdist.engine.collective import Collective
from gdist.engine.flat import Layout
from gdist.engine.plan import owned
from gdist.engine.precision import Precision
from gdist.engine.streams import Streams
from gdist.errors import DataError
from gdist.task.metrics import Metrics
from gdist.task.task import Loss, Task

if TYPE_CHECKING:
    from gdist.data.batch import Batch
    from gdist.data.feed import Feed
    from gdist.worker.session import Session

ROWS = 256  # samples in an evaluation batch, at most

Found = dict[str, Tensor]


class Evaluation:
    """``groups``: a number of the job; ``metrics``: names. ``at`` hears where the training thread is: "data" or "evaluate"."""

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
        at: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._task, self._feed, self._precision = task, feed, precision
        self._streams = Streams(seed, device)
        self._device = device
        self._at = at
        rows = max(1, min(ROWS, -(-len(feed) // groups)))
        bounds = [*range(0, len(feed), rows), len(feed)]
        self._batches = list(itertools.pairwise(bounds))
        self._groups = min(groups, len(self._batches))
        self._metrics = Metrics(metrics) if metrics else None
        self._found: list[Found] = []  # this worker's groups
        self.rows = self.bad = 0  # used, and left out as the data asks for, over all workers; after combine()

    def run(self, collective: Collective) -> dict[str, float]:
        """The weighted mean loss, what the loss logs, and the metrics, over all validation samples."""
        for _ in self.work(collective):
            pass
        return self.combine(collective)

    def work(self, collective: Collective) -> Generator[int, None, None]:
        """This worker's share, a batch at a time; yields each batch's rows. ``combine`` comes next."""
        self._found = []
        shares = owned(self._groups, rank=collective.rank, size=collective.size)
        batches = (b for group in shares for b in owned(len(self._batches), rank=group, size=self._groups))
        self._feed.follow((0, *self._batches[b]) for b in batches)
        with evaluating(self._task.module):
            for group in shares:
                self._found.append((yield from self._group(group)))

    def combine(self, collective: Collective) -> dict[str, float]:
        """Adds the groups of all workers in the order of the groups. In float64, where counts stay exact. Raises DataError
        where every row was left out."""
        like = self._like()
        names = sorted(like)
        layout = Layout.of(like[name] for name in names)
        rows = torch.zeros((self._groups, layout.elements), dtype=torch.float64, device=self._device)
        for g, group in zip(owned(self._groups, rank=collective.rank, size=collective.size), self._found, strict=True):
            for view, name in zip(layout.views(rows[g]), names, strict=True):
                if name in group:
                    view.copy_(group[name])
        collective.all_reduce(rows).wait()
        added = rows[0].cpu()
        for g in range(1, self._groups):
            added += rows[g].cpu()
        sums = {n: view.to(like[n].dtype) for n, view in zip(names, layout.views(added), strict=True)}
        self.rows, self.bad = int(sums["rows/used"]), int(sums["rows/bad"])
        weight = float(sums["loss/weight"])
        values = {}
        for name, total in sums.items():
            if name.startswith("sum/"):
                values[name.split("/", 1)[1]] = float(total) / weight if weight else math.nan
        if self._metrics is not None:
            values |= self._metrics.compute({n.split("/", 1)[1]: v for n, v in sums.items() if n.startswith("metric/")})
        return values

    def _group(self, group: int) -> Generator[int, None, Found]:
        """What a group's batches add up to: ``sum/NAME`` of losses times weights, ``loss/weight``, ``metric/NAME``, and the
        counts ``rows/used`` and ``rows/bad``; the last alone where all rows were left out."""
        sums: Found = {}
        if self._metrics is not None:
            self._metrics.reset()
        for b in owned(len(self._batches), rank=group, size=self._groups):
            start, stop = self._batches[b]
            self._at("data")
            batch = self._feed.take(0, start, stop)
            self._at("evaluate")
            self._add(sums, "rows/bad", batch.bad)
            if batch.rows:
                with self._feed.placing((0, start, stop)):
                    self._add_batch(sums, batch, number=b)
            yield stop - start
        states = self._metrics.states() if self._metrics is not None and "loss/weight" in sums else {}
        return sums | {f"metric/{name}": state for name, state in states.items()}

    @torch.no_grad()
    def _add_batch(self, sums: Found, batch: Batch, *, number: int) -> None:
        self._streams.begin(step=0, phase=-1, micro_batch=number)
        with self._precision.autocast():
            mean, weight, log = Loss.parts(self._task.evaluate(batch), rows=batch.rows)
            if self._metrics is not None:
                self._metrics.update(self._task.predict(batch), batch.target)
        for name, value in {"loss": mean, **log}.items():
            self._add(sums, f"sum/{name}", torch.as_tensor(value, dtype=torch.float64, device=self._device) * weight)
        self._add(sums, "loss/weight", weight)
        self._add(sums, "rows/used", batch.rows)

    def _add(self, sums: Found, name: str, value: Tensor | float) -> None:
        value = torch.as_tensor(value, dtype=torch.float64, device=self._device)
        sums[name] = sums[name] + value if name in sums else value

    def _like(self) -> Found:
        """A group that has all names, for their shapes: one of this worker's, else any (it may have none of its own)."""
        for group in self._found:
            if "loss/weight" in group:
                return group
        with evaluating(self._task.module):
            for g in range(self._groups):
                group = _exhausted(self._group(g))
                if "loss/weight" in group:
                    return group
        raise DataError("no row is left to evaluate: all of them were left out as bad", help="on_bad_rows='error' says why")


def evaluation_of(session: Session, feed: Feed | None) -> Evaluation | None:
    """With the weights of a run that trains, as they are when it is made use of; None without data."""
    built = session.built
    if feed is None:
        return None
    return Evaluation(
        built.task, feed, metrics=built.job.metrics, groups=built.plan.micro_batches,
        precision=built.precision, seed=built.job.seed, device=built.device,
        at=lambda name: session.allowances.enter(name, session.progress.step),
    )  # fmt: skip


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within it the module is in eval mode, and its buffers may move; afterwards both are as they were."""
    training = {each: each.training for each in module.modules()}
    module.eval()
    try:
        with keeping_buffers(module):
            yield
    finally:
        for child, mode in training.items():
            child.training = mode


def _exhausted(work: Generator[int, None, Found]) -> Found:
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: Found = end.value
            return found
