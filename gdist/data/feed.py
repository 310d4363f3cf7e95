"""A run's samples in its order: (epoch, positions) -> batch, the same at any number of workers.

Positions number the rows of the index (all rows, or those that a split left) in the epoch's order. A worker asks for
its micro-batches' positions; nobody else needs to know. In-memory data on the CPU costs two numpy slices and one
``index_select`` a column; slow sources and GPUs are read ahead in a thread.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gdist.data.batch import Batch
from gdist.data.index import Index
from gdist.data.read_ahead import ReadAhead, Span
from gdist.data.source import Rows
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import torch


class Feed:
    """``index``: the raw rows in use (None: all). ``batch_size``: positions of a step (None: as many as there are).
    ``float_dtype``: of floating columns (None: as they are). ``prefetch``: the most batches that lie ready where they are
    read ahead."""

    def __init__(
        self,
        rows: Rows,
        *,
        index: Index | None = None,
        seed: int = 0,
        shuffle: bool = True,
        batch_size: int | None = None,
        device: torch.device | str = "cpu",
        float_dtype: torch.dtype | None = None,
        prefetch: int = 16,
    ) -> None:
        import torch

        index = Index.all(len(rows)) if index is None else index
        if not len(index):
            raise DataError("there is no sample to train or evaluate on: the data is empty")
        self.rows = rows if float_dtype is None else rows.cast(float_dtype)
        self._order = self.rows.order(index, seed=seed, shuffle=shuffle, batch_size=batch_size or len(index))
        self._seed = seed
        self._device = torch.device(device)
        self._float_dtype = float_dtype
        self._plain = not rows.slow and self._device.type == "cpu"
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        self._ahead = None if self._plain else ReadAhead(self._read, bound=prefetch, deadline_s=rows.deadline_s)

    def __len__(self) -> int:
        """Positions in an epoch."""
        return len(self._order)

    def rows_at(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """The raw row numbers of positions ``start`` to ``stop``: int64, shape (stop - start,)."""
        return self._order.rows(epoch, start, stop)

    def take(self, epoch: int, start: int, stop: int) -> Batch:
        """The samples of positions ``start`` to ``stop`` on the device, in fresh memory."""
        if self._plain:
            return self.rows.take(self._order.rows(epoch, start, stop))
        assert self._ahead is not None
        batch = self._ahead.take((epoch, start, stop))
        if self._stream is not None:
            import torch

            here = torch.cuda.current_stream(self._device)
            here.wait_stream(self._stream)
            for column in batch.columns.values():
                column.record_stream(here)  # its memory is not used again before this stream is done with it
        return batch

    @contextmanager
    def placing(self, taken: Span | Callable[[], Span | None]) -> Iterator[None]:
        """What goes wrong with a sample of the batch that was ``taken`` is an error that says where the sample lies."""
        try:
            yield
        except DataError as error:
            span = taken() if callable(taken) else taken
            if error.sample is not None and span is not None and error.where is None:
                error.where = self.place(*span, sample=error.sample)
                error.sample = None
            raise

    def place(self, epoch: int, start: int, stop: int, *, sample: int) -> str:
        """Where the ``sample``-th of the batch of these positions lies."""
        rows = self.rows_at(epoch, start, stop)
        if not self.rows.take(rows).bad:
            return self.rows.place(int(rows[sample]))
        used = (i for i in range(len(rows)) if self.rows.take(rows[i : i + 1]).rows)  # some were left out before it
        return self.rows.place(int(rows[next(itertools.islice(used, sample, None))]))

    def follow(self, spans: Iterator[Span]) -> None:
        """Names the (epoch, start, stop) that will be taken from now on, in order, so that their data is there in time. They
        may be endless, and are asked for from other threads, no further ahead than there is room."""
        for_batches, for_rows = _twice(spans) if self._ahead is not None and self.rows.follows else (spans, spans)
        if self.rows.follows:
            self.rows.follow(self._groups(for_rows))
        if self._ahead is not None:
            self._ahead.follow(for_batches)

    def close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self.rows.close()

    def _groups(self, spans: Iterator[Span]) -> Iterator[Sequence[int]]:
        """The row groups that each span needs."""
        for span in spans:
            groups = self._order.groups(*span)
            yield groups if groups is not None else self.rows.groups_of(self._order.rows(*span))

    def _read(self, span: Span) -> Batch:
        """In the thread: reads a batch and, for a GPU, sends it there from pinned memory on a stream of its own."""
        batch = self.rows.draw(self._order.rows(*span), seed=self._seed, epoch=span[0]).to(dtype=self._float_dtype)
        if self._stream is None:
            return batch.to(self._device)
        import torch

        with torch.cuda.stream(self._stream):
            return batch.pin_memory().to(self._device, non_blocking=True)


def _twice(spans: Iterator[Span]) -> tuple[Iterator[Span], Iterator[Span]]:
    """The same spans for two threads; ``itertools.tee`` alone is for one."""
    lock = threading.Lock()

    def guarded(of: Iterator[Span]) -> Iterator[Span]:
        while True:
            with lock:
                span = next(of, None)
            if span is None:
                return
            yield span

    one, other = itertools.tee(spans)
    return guarded(one), guarded(other)
