"""torchrun's way: DistributedDataParallel, a snapshot by rank 0 every so often, all processes started anew after a failure.

As in PyTorch's tutorial "Fault-tolerant Distributed Training with torchrun": torchrun --nproc-per-node 2 --max-restarts 3
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from faulty.model import CHECKPOINT_EVERY, Batches, build, loss
from faulty.records import Watched


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, snapshot = dist.get_rank(), Path(os.environ["BENCH_STATE"], "snapshot.pt")
    model = DistributedDataParallel(build())
    optimizer = Watched(model.parameters())
    batches, step = Batches(rank=rank), 0
    if snapshot.exists():
        found = torch.load(snapshot, weights_only=True)
        model.module.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])
        step = found["step"]
    while True:
        x, y = batches.at(step)
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
        step += 1
        if step % CHECKPOINT_EVERY == 0 and rank == 0:
            state = {"model": model.module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, snapshot.with_suffix(".new"))
            snapshot.with_suffix(".new").rename(snapshot)


if __name__ == "__main__":
    main()
