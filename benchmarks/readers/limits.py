"""What a reader cannot be expected to beat: the file alone, scanned without shuffling or rows, and plain copies of memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
import torch
from readers.own import WINDOW, WINDOWS
from samples import BATCH, SEED, Samples


def scan_read_table(samples: Samples) -> Callable[[], int]:
    return lambda: int(pq.read_table(samples.parquet).num_rows)


def scan_iter_batches(samples: Samples) -> Callable[[], int]:
    return lambda: sum(batch.num_rows for batch in pq.ParquetFile(samples.parquet).iter_batches())


def scan_to_batches(samples: Samples) -> Callable[[], int]:
    return lambda: sum(batch.num_rows for batch in pyarrow.dataset.dataset(samples.parquet).to_batches())


def read_csv(samples: Samples) -> Callable[[], int]:
    return lambda: int(pyarrow.csv.read_csv(samples.csv).num_rows)


def index_select(samples: Samples) -> Callable[[], int]:
    """Shuffled batches from one tensor in memory, and nothing else."""
    table = pq.read_table(samples.parquet)
    rows = torch.stack([torch.from_numpy(column.to_numpy()) for column in table.columns], dim=1)

    def epoch() -> int:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(SEED))
        return sum(len(rows.index_select(0, order[i : i + BATCH])) for i in range(0, len(rows), BATCH))

    return epoch


def copy(samples: Samples) -> Callable[[], int]:
    """The corpus from its first byte to its last, a batch of windows at a time, into the same two int64 tensors each."""
    tokens = np.fromfile(samples.text, dtype=np.uint8)
    windows = (len(tokens) - 1) // WINDOW

    def epoch() -> int:
        copied = 0
        for first in range(0, windows, WINDOWS):
            begin, end = first * WINDOW, min(first + WINDOWS, windows) * WINDOW
            features = torch.from_numpy(tokens[begin:end].astype(np.int64)).view(-1, WINDOW)
            target = torch.from_numpy(tokens[begin + 1 : end + 1].astype(np.int64)).view(-1, WINDOW)
            copied += min(features.numel(), target.numel())
        return copied

    return epoch
