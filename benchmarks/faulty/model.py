"""What every contender trains here: the mlp of step.py, or one whose weights and optimizer hold 400 MB; AdamW, endless."""

from __future__ import annotations

import os
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from workloads import SEED, WORKERS, digits

WIDTHS = {"tiny": (64, 256, 256, 10), "heavy": (64, 5700, 5700, 10)}
SIZE = os.environ.get("BENCH_SIZE", "tiny")
BATCH = 32  # samples per worker and step
CHECKPOINT_EVERY = 500  # steps; each contender's users write one so often


def build() -> nn.Module:
    torch.manual_seed(SEED)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(WIDTHS[SIZE]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Batches:
    """This worker's samples of each step: a new order each epoch."""

    def __init__(self, *, rank: int, size: int = WORKERS) -> None:
        self.x, self.y = digits()
        self.rank, self.size = rank, size
        self.per_epoch = len(self.x) // (BATCH * size)
        self.epoch = -1
        self.order = torch.empty(0)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, torch.randperm(len(self.x), generator=torch.Generator().manual_seed(epoch))
        first = (place * self.size + self.rank) * BATCH
        rows = self.order[first : first + BATCH]
        return self.x.index_select(0, rows), self.y.index_select(0, rows)


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets)
