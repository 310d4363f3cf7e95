"""A run's samples in its order: (epoch, positions) -> batch, the same at any number of workers.

Positions number the rows of the index (all rows, or those that a split left) in the epoch's order. A worker asks for
its micro-batches' positions; nobody else needs to know. In-memory data on the CPU costs two numpy slices and one
``index_select`` a column; slow sources and GPUs are read ahead in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gdist.data.batch import Batch
from gdist.data.order import permute
from gdist.data.read_ahead import ReadAhead, Span
from gdist.data.source import Rows
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import torch

BLOCK = 16_384  # positions whose rows are computed at a time (about half a millisecond)


class Feed:
    """``index``: the raw rows in use, int64 (None: all). ``float_dtype``: of floating columns (None: as they are).
    ``prefetch``: the most batches that lie ready where they are read ahead."""

    def __init__(
        self,
        rows: Rows,
        *,
        index: np.ndarray | None = None,
        seed: int = 0,
        shuffle: bool = True,
        device: torch.device | str = "cpu",
        float_dtype: torch.dtype | None = None,
        prefetch: int = 16,
    ) -> None:
        import torch

        self.rows = rows if float_dtype is None else rows.cast(float_dtype)
        self._index = index
        self._length = len(rows) if index is None else len(index)
        if not self._length:
            raise DataError("there is no sample to train or evaluate on: the data is empty")
        self._seed = seed
        self._shuffle = shuffle
        self._device = torch.device(device)
        self._float_dtype = float_dtype
        self._block: tuple[int, int, np.ndarray] | None = None  # epoch, first position, raw rows; replaced, never changed
        self._plain = not rows.slow and self._device.type == "cpu"
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        self._ahead = None if self._plain else ReadAhead(self._read, bound=prefetch, deadline_s=rows.deadline_s)

    def __len__(self) -> int:
        """Positions in an epoch."""
        return self._length

    @property
    def reads_ahead(self) -> bool:
        """Whether ``expect`` has an effect."""
        return self._ahead is not None

    def rows_at(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """The raw row numbers of positions ``start`` to ``stop``: int64, shape (stop - start,)."""
        block = self._block
        if block is None or block[0] != epoch or start < block[1] or stop > block[1] + len(block[2]):
            block = self._block = self._make_block(epoch, start, stop)
        return block[2][start - block[1] : stop - block[1]]

    def take(self, epoch: int, start: int, stop: int) -> Batch:
        """The samples of positions ``start`` to ``stop`` on the device, in fresh memory."""
        if self._plain:
            return self.rows.take(self.rows_at(epoch, start, stop))
        assert self._ahead is not None
        batch = self._ahead.take((epoch, start, stop))
        if self._stream is not None:
            import torch

            here = torch.cuda.current_stream(self._device)
            here.wait_stream(self._stream)
            for column in batch.columns.values():
                column.record_stream(here)  # its memory is not used again before this stream is done with it
        return batch

    def expect(self, spans: Iterable[Span]) -> None:
        """Names the (epoch, start, stop) that will be taken next, in order, so that slow data is there in time."""
        if self._ahead is not None:
            self._ahead.expect(spans)

    def close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()

    def _read(self, span: Span) -> Batch:
        """In the thread: reads a batch and, for a GPU, sends it there from pinned memory on a stream of its own."""
        batch = self.rows.take(self.rows_at(*span)).to(dtype=self._float_dtype)
        if self._stream is None:
            return batch.to(self._device)
        import torch

        with torch.cuda.stream(self._stream):
            return batch.pin_memory().to(self._device, non_blocking=True)

    def _make_block(self, epoch: int, start: int, stop: int) -> tuple[int, int, np.ndarray]:
        import numpy as np

        if not 0 <= start <= stop <= self._length:
            raise ValueError(f"positions {start} to {stop} do not lie in range({self._length})")
        first = start - start % BLOCK
        last = min(max(-(-stop // BLOCK) * BLOCK, first + BLOCK), self._length)
        rows = np.arange(first, last, dtype=np.int64)
        if self._shuffle:
            rows = permute(rows, n=self._length, seed=self._seed, epoch=epoch)
        if self._index is not None:
            rows = self._index[rows]
        return epoch, first, rows
