"""Other libraries, each as its users write it: shuffled batches of one row-major tensor [256, 64] from the Parquet file.

Hugging Face's are timed over the first batches of their epoch, which would take minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from samples import BATCH, SEED, Samples

SHUFFLE_ROWS = 10_000  # of a buffer, where rows are shuffled in one
HF_BATCHES = 200


def hf_datasets(samples: Samples) -> Callable[[], int]:
    """Converted to its own Arrow files before, which is not timed; then shuffled and iterated as torch tensors."""
    data = _converted(samples)
    return lambda: _rows(islice(data.shuffle(seed=SEED).with_format("torch").iter(batch_size=BATCH), HF_BATCHES))


def hf_iterable(samples: Samples) -> Callable[[], int]:
    """The same as its guide mends it: shards in random order, rows shuffled in a buffer."""
    data = _converted(samples).to_iterable_dataset(num_shards=8).with_format("torch")
    return lambda: _rows(islice(data.shuffle(seed=SEED, buffer_size=SHUFFLE_ROWS).iter(batch_size=BATCH), HF_BATCHES))


def ray_data(samples: Samples) -> Callable[[], int]:
    """Blocks in random order, rows shuffled in a local buffer; Ray is up before."""
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False

    def epoch() -> int:
        data = ray.data.read_parquet(str(samples.parquet)).randomize_block_order(seed=SEED)
        return _rows(data.iter_torch_batches(batch_size=BATCH, local_shuffle_buffer_size=SHUFFLE_ROWS))

    return epoch


def torch_dataloader(samples: Samples) -> Callable[[], int]:
    """A map-style dataset over the table in memory, with no bound on it, and a DataLoader that batches it by default: one
    sample at a time, in this process. The table is read within the epoch."""
    import pyarrow.parquet as pq
    from torch.utils.data import DataLoader, TensorDataset

    def epoch() -> int:
        table = pq.read_table(samples.parquet)
        rows = torch.stack([torch.from_numpy(column.to_numpy()) for column in table.columns], dim=1)
        return sum(len(batch) for (batch,) in DataLoader(TensorDataset(rows), batch_size=BATCH, shuffle=True))

    return epoch


def _converted(samples: Samples) -> Any:
    import datasets

    cache = str(samples.folder / "hf")
    return datasets.load_dataset("parquet", data_files=str(samples.parquet), split="train", cache_dir=cache)


def _rows(batches: Iterable[Mapping[str, Any]]) -> int:
    """Each batch's columns as one tensor; how many rows they had."""
    return sum(len(torch.stack(list(batch.values()), dim=1)) for batch in batches)
