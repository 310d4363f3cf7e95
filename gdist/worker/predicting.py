"""What a model says of rows, as columns: ``row``, ``prediction``, and ``probability`` where the loss is one of classes.

The rows are cut into batches whose bounds depend on their number alone; a worker predicts a contiguous share of the batches.
So a row's batch, and with it every bit of its prediction, is the same at any number of workers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gdist.data.beside import Beside, require_columns
from gdist.engine.plan import owned
from gdist.engine.streams import Streams
from gdist.errors import JobError
from gdist.job.measures import METRICS
from gdist.run.predictions import Parts, PartWriter, read_parts
from gdist.task.task import Task
from gdist.worker.evaluation import ROWS, evaluating
from gdist.worker.trained import Trained

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.learned.recipe import Value
    from gdist.job.job import Job

COLUMNS = ("row", "prediction", "probability")
_SHARES = 64  # batches at least, where there are as many rows: so many workers have something to do
_OF_CLASSES = ("cross_entropy", "binary_cross_entropy", "hinge")


class Predicting:
    """Predicts and writes one worker's part. ``bad``: its rows that were left out, whose predictions are null."""

    def __init__(self, trained: Trained, *, keep: Sequence[str] = ()) -> None:
        """``keep``: columns of the data that are written too. Raises JobError, DataError."""
        if type(trained.task).predict is Task.predict:
            name = type(trained.task).__name__
            raise JobError(f"{name} says nothing of a row: it has no `predict`", help=f"give it one: {name}.predict(batch)")
        self._trained = trained
        self._streams = Streams(trained.job.seed, trained.device)
        rows = max(1, min(ROWS, -(-len(trained.feed) // _SHARES)))
        self.batches = list(itertools.pairwise([*range(0, len(trained.feed), rows), len(trained.feed)]))
        self.bad = 0
        self.columns: list[str] = []  # of the file, once it is joined
        self._keep = tuple(keep)
        require_columns(trained.feed.rows, self._keep, taken=COLUMNS)

    def work(self, *, rank: int, size: int, into: Path) -> Iterator[int]:
        """This worker's share, a batch at a time; yields each batch's rows, and has written them to ``into`` at its end."""
        share = owned(len(self.batches), rank=rank, size=size)
        self._trained.feed.follow((0, *self.batches[b]) for b in share)
        writer, whole = PartWriter(into), False
        try:
            with evaluating(self._trained.task.module):
                for b in share:
                    writer.add(self._predict(b))
                    yield self.batches[b][1] - self.batches[b][0]
            whole = True
        finally:
            writer.close(whole=whole)

    def join(self, parts: Parts, *, workers: int) -> Iterator[int]:
        """Makes one file of the parts of all workers; yields the rows of each piece."""
        beside = {name: Beside(self._trained.feed.rows.read_column(name)) for name in self._keep}

        def tables() -> Iterator[pa.Table]:
            for table in read_parts([parts.part(rank) for rank in range(workers)]):
                rows = table.column("row").to_numpy()
                for name, column in beside.items():
                    table = table.append_column(name, column.at(rows))
                self.columns = table.column_names
                yield table

        yield from parts.join(tables())

    @torch.no_grad()
    def _predict(self, number: int) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        feed, (start, stop) = self._trained.feed, self.batches[number]
        batch = feed.take(0, start, stop)
        numbers = {"row": pa.array(feed.rows_at(0, start, stop))}
        if not batch.rows:
            self.bad += batch.bad
            return pa.table(numbers)
        self._streams.begin(step=0, phase=-1, micro_batch=number)
        with self._trained.precision.autocast():
            outputs = self._trained.task.predict(batch)
        _check(outputs, batch.rows)
        found = said(self._trained.job, outputs)
        columns = {name: as_column(tensor) for name, tensor in found.items()}
        if self._trained.classes is not None and found["prediction"].dim() == 1 and is_of_classes(self._trained.job):
            columns["prediction"] = in_words(columns["prediction"], self._trained.classes)
        if batch.bad:
            self.bad += batch.bad
            good = np.array(list(self._good(start, stop)), dtype=bool)
            places = pa.array(np.cumsum(good) - 1, mask=~good)
            columns = {name: column.take(places) for name, column in columns.items()}
        return pa.table(numbers | columns)

    def _good(self, start: int, stop: int) -> Iterator[bool]:
        """Which rows of a span are no bad ones: found by halves, so that a rare one costs little."""
        used = self._trained.feed.take(0, start, stop).rows
        if used in (0, stop - start):
            yield from itertools.repeat(used > 0, stop - start)
        else:
            middle = (start + stop) // 2
            yield from self._good(start, middle)
            yield from self._good(middle, stop)


def said(job: Job, outputs: Tensor) -> dict[str, Tensor]:
    """``outputs`` [rows, ...] as what a user asks for. Of classes: the likeliest one and its probability, over the last
    dimension; of one score, 1 if it is positive, else 0. Else the numbers themselves, a lone one without its dimension."""
    outputs = outputs.detach().float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs.detach()
    lone = outputs.dim() == 2 and outputs.shape[1] == 1
    if not is_of_classes(job):
        return {"prediction": outputs[:, 0] if lone else outputs}
    if job.loss == "binary_cross_entropy" or lone or outputs.dim() == 1:
        scores = outputs[:, 0] if lone else outputs
        found = {"prediction": (scores > 0).long(), "probability": scores.abs().sigmoid()}
    else:
        found = {"prediction": outputs.argmax(-1), "probability": outputs.softmax(-1).amax(-1)}
    if job.loss == "hinge":
        del found["probability"]  # its scores are margins
    return found


def as_column(values: Tensor) -> pa.Array:
    """[rows] as numbers, [rows, ...] as lists of fixed sizes."""
    import pyarrow as pa

    column: Any = pa.array(_numpy(values).reshape(-1))
    for size in reversed(values.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, int(size))
    return column


def in_words(codes: pa.Array, classes: Sequence[Value]) -> pa.Array:
    """What the class numbers stand for; null for one that the target never had (the model may have more outputs)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.less(codes, len(classes))
    return pa.array(list(classes)).take(pc.if_else(known, codes, pa.scalar(None, codes.type)))


def is_of_classes(job: Job) -> bool:
    if isinstance(job.loss, str):
        return job.loss in _OF_CLASSES
    return any(METRICS[name].of_classes for name in job.metrics)


def _numpy(values: Tensor) -> np.ndarray:
    found: np.ndarray = values.cpu().contiguous().numpy()
    return found


def _check(outputs: Any, rows: int) -> None:
    if not isinstance(outputs, Tensor) or outputs.dim() == 0 or outputs.shape[0] != rows:
        shown = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise JobError(
            f"the model's outputs for {rows} rows are {shown}, not a tensor [rows, ...]",
            where="predict(model, batch)",
            help="set the job's predict: a function of (model, batch) that gives one output for each row",
        )
