"""A loop written by hand for this work alone: nothing is checked, logged, clipped or counted, and it cannot be resumed.

Parameters are views into one flat tensor, gradients are copied into another, one all-reduce, one fused AdamW. The two calls
of mallopt keep 64 MB blocks from being given back to the kernel and faulted in again at each step.
"""

from __future__ import annotations

import ctypes

import torch
import torch.distributed as dist
from stopwatch import Stopwatch
from torch import nn
from workloads import WORKERS, TensorBatches, Workload, loss

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
KEEP_BYTES = 1 << 30


def train(workload: Workload, watch: Stopwatch, *, tuned: bool) -> None:
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, KEEP_BYTES), libc.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)
    dist.init_process_group("gloo")
    model = workload.build()
    parameters = list(model.parameters())
    flat = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    flat.grad = torch.zeros_like(flat)
    sizes = [parameter.numel() for parameter in parameters]
    gradients = [piece.view_as(p) for piece, p in zip(flat.grad.split(sizes), parameters, strict=True)]
    for piece, parameter in zip(flat.data.split(sizes), parameters, strict=True):
        parameter.data = piece.view_as(parameter)
    optimizer = torch.optim.AdamW([flat], fused=True)
    for x, y in TensorBatches(workload, rank=dist.get_rank()):
        (loss(model(x), y) / WORKERS).backward()
        torch._foreach_copy_(gradients, [parameter.grad for parameter in parameters])
        for parameter in parameters:
            parameter.grad = None
        dist.all_reduce(flat.grad)
        optimizer.step()
        if watch.tick():
            break
    dist.destroy_process_group()
