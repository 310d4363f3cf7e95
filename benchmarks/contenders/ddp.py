"""torchrun and DistributedDataParallel, the loop of PyTorch's tutorial "Fault-tolerant Distributed Training with torchrun".

As there: DataLoader with its default collation, DistributedSampler, an optimizer with its defaults, no loss read in the loop.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from stopwatch import Stopwatch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler
from workloads import TensorBatches, Workload, loss


def train(workload: Workload, watch: Stopwatch, *, tuned: bool) -> None:
    dist.init_process_group("gloo")
    model = DistributedDataParallel(workload.build(), gradient_as_bucket_view=tuned)
    optimizer = torch.optim.AdamW(model.parameters(), fused=tuned or None)
    if tuned:
        batches = TensorBatches(workload, rank=dist.get_rank())
    else:
        dataset = workload.dataset()
        batches = DataLoader(dataset, batch_size=workload.batch, shuffle=False, sampler=DistributedSampler(dataset))
        batches.sampler.set_epoch(0)
    for x, y in batches:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
        if watch.tick():
            break
    dist.destroy_process_group()
