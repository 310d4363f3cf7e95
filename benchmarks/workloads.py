"""The three workloads that every contender trains: model, data, loss and batch size, and nothing of a trainer.

    mlp    64-256-256-10, 32 digits per worker         85 k parameters: the price of everything that is not arithmetic
    gpt    4 layers, width 128, context 128, 8 per worker   836 k parameters: arithmetic
    wide   64-4096-4096-10, 16 digits per worker      17.1 M parameters: memory and communication

A run lies inside one epoch (the digits are repeated 32 times): what the turn of an epoch adds, in iterators, evaluations
and checkpoints, is not a step's time.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

WORKERS = 2
REPEATS = 32  # of the 1,797 digits
SEQUENCES = 4096
VOCABULARY = 256
CONTEXT = 128
SEED = 0


@dataclass(frozen=True)
class Workload:
    """``batch``: samples per worker. ``warm_up`` steps are run before ``steps`` timed ones."""

    name: str
    model: Callable[[], nn.Module]
    data: Callable[[], tuple[Tensor, Tensor]]
    batch: int
    warm_up: int
    steps: int

    def build(self) -> nn.Module:
        """The model with the same weights in every process."""
        torch.manual_seed(SEED)
        return self.model()

    def dataset(self) -> TensorDataset:
        return TensorDataset(*self.data())


def mlp() -> nn.Module:
    return _dense(64, 256, 256, 10)


def wide() -> nn.Module:
    return _dense(64, 4096, 4096, 10)


def _dense(*widths: int) -> nn.Module:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Block(nn.Module):
    """Attention and a feed-forward layer, each after a layer norm and added to its input [batch, context, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, context, width = x.shape
        q, k, v = self.qkv(self.norm_1(x)).view(batch, context, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, context, width))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class GPT(nn.Module):
    """Tokens [batch, context] to logits [batch, context, VOCABULARY]; the head shares the embedding's weight."""

    def __init__(self, *, layers: int = 4, width: int = 128, heads: int = 4) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, VOCABULARY, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.head(self.norm(self.blocks(self.tokens(tokens) + self.places(places))))


def digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits [57504, 64] in [0, 1] and their classes, from its file: importing it takes longer than training."""
    package = find_spec("sklearn")
    if package is None or not package.origin:
        raise ImportError("the digits come with scikit-learn: pip install -e '.[bench]'")
    with gzip.open(Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz", "rt") as file:
        table = torch.tensor([[float(number) for number in line.split(",")] for line in file])
    return (table[:, :64] / 16).repeat(REPEATS, 1), table[:, 64].long().repeat(REPEATS)


def tokens() -> tuple[Tensor, Tensor]:
    """Sequences [4096, 128] in which a token tells half of the next one, and the same moved by one."""
    random = torch.Generator().manual_seed(SEED)
    low = torch.randint(0, 16, (SEQUENCES, CONTEXT + 1), generator=random)
    text = low + 16 * torch.roll(low, 1, dims=1)
    return text[:, :-1].contiguous(), text[:, 1:].contiguous()


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over samples, or over tokens."""
    return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())


class TensorBatches:
    """One epoch of this worker's batches, taken from whole tensors by one index_select each: no Python per sample."""

    def __init__(self, workload: Workload, *, rank: int, size: int = WORKERS) -> None:
        self.x, self.y = workload.data()
        self.batch, self.rank, self.size = workload.batch, rank, size

    def __len__(self) -> int:
        return len(self.x) // (self.batch * self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(SEED))[self.rank :: self.size]
        for start in range(0, len(self) * self.batch, self.batch):
            rows = order[start : start + self.batch]
            yield self.x.index_select(0, rows), self.y.index_select(0, rows)


WORKLOADS = {
    "mlp": Workload("mlp", mlp, digits, batch=32, warm_up=50, steps=400),
    "gpt": Workload("gpt", GPT, tokens, batch=8, warm_up=6, steps=40),
    "wide": Workload("wide", wide, digits, batch=16, warm_up=5, steps=20),
}
