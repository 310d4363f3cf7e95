"""Hugging Face Accelerate, the loop of its "Quicktour": prepare, backward, step; no loss read in the loop.

Tuned: its own DistributedDataParallelKwargs for bucket views, and batches that need no preparing.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from stopwatch import Stopwatch
from torch.utils.data import DataLoader
from workloads import TensorBatches, Workload, loss


def train(workload: Workload, watch: Stopwatch, *, tuned: bool) -> None:
    handlers = [DistributedDataParallelKwargs(gradient_as_bucket_view=True)] if tuned else []
    accelerator = Accelerator(cpu=True, kwargs_handlers=handlers)
    model = workload.build()
    optimizer = torch.optim.AdamW(model.parameters(), fused=tuned or None)
    if tuned:
        model, optimizer = accelerator.prepare(model, optimizer)
        batches = TensorBatches(workload, rank=accelerator.process_index)
    else:
        loader = DataLoader(workload.dataset(), batch_size=workload.batch, shuffle=True)
        model, optimizer, batches = accelerator.prepare(model, optimizer, loader)
    for x, y in batches:
        optimizer.zero_grad()
        accelerator.backward(loss(model(x), y))
        optimizer.step()
        if watch.tick():
            break
    accelerator.end_training()
