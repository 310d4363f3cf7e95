"""Kinds of jobs in small: what the equality tests train, without a Job, a file or a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gdist.data.batch import Batch
from gdist.data.identity import stamps, total
from gdist.engine.engine import Engine
from gdist.engine.flat import FlatParameters
from gdist.engine.parts import DescendPart
from gdist.engine.plan import Plan
from gdist.engine.precision import Precision
from gdist.engine.probe import probe
from gdist.engine.replica import Replica
from gdist.engine.streams import Streams
from gdist.engine.update import Update
from gdist.task.task import Descend, Loss

CPU = torch.device("cpu")
ROWS = 107  # of each data set: with batches of 24 the last one is short, and nothing divides by 2, 3 or 4


class Convolutional(nn.Module):
    """Batch norm, dropout and a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.outer = nn.Linear(4 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(-1, 1, 8, 8)
        return self.outer((x + self.inner(x)).flatten(1))


class Language(nn.Module):
    """Tied embeddings, attention, layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(16, 12)
        self.block = nn.TransformerEncoderLayer(12, 2, 24, dropout=0.0, batch_first=True)
        self.head = nn.Linear(12, 16, bias=False)
        self.head.weight = self.embed.weight
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=self.head.weight.dtype)
        return self.head(self.block(self.embed(x), src_mask=mask, is_causal=True))


class Branching(nn.Module):
    """Parameters that get no gradient in some steps, frozen ones, and control flow that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 16)
        self.rare = nn.Linear(16, 16)
        self.frozen = nn.Linear(16, 16)
        self.never = nn.Linear(3, 3)
        self.last = nn.Linear(16, 10)
        for p in self.frozen.parameters():
            p.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        if float(x[0, 0]) > 1.3:
            h = h + self.rare(h)
        return self.last(h + self.frozen(h))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


@dataclass(frozen=True)
class Case:
    """``data()`` -> columns; ``loss(model, batch)``; ``optimizer(parameters)``."""

    model: Callable[[], nn.Module]
    data: Callable[[], dict[str, Tensor]]
    loss: Callable[[nn.Module, Batch], Loss | Tensor]
    optimizer: Callable[[Any], torch.optim.Optimizer] = lambda p: torch.optim.AdamW(p, lr=1e-3, fused=True)
    merges: bool = True


def images() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(ROWS, 64, generator=generator)
    return {"features": x, "target": (x[:, :10] * 2 + torch.randn(ROWS, 10, generator=generator)).argmax(1)}


def tokens() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    text = torch.randint(0, 16, (ROWS, 10), generator=generator)
    return {"features": text, "mask": torch.rand(ROWS, 9, generator=generator) < 0.7}


def cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(model(batch.features), batch.target)


def squared(model: nn.Module, batch: Batch) -> Loss:
    error = (model(batch.features) - batch.features[:, :10]) ** 2
    return Loss(error.mean(), log={"largest": error.max().detach()})


def next_token(model: nn.Module, batch: Batch) -> Loss:
    logits = model(batch.features[:, :-1])
    losses = functional.cross_entropy(logits.transpose(1, 2), batch.features[:, 1:], reduction="none")
    weight = batch["mask"].sum()
    return Loss((losses * batch["mask"]).sum() / weight, weight=weight)


def _sgd(p: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(p, lr=0.02, momentum=0.9, fused=True)


CASES = {
    "mlp": Case(mlp, images, cross_entropy),
    "regression": Case(mlp, images, squared, _sgd),
    "convolutional": Case(Convolutional, images, cross_entropy, _sgd, merges=False),
    "language": Case(Language, tokens, next_token),
    "branching": Case(Branching, images, cross_entropy, merges=False),
}


def order(epoch: int) -> Tensor:
    """The rows of an epoch in its order."""
    return torch.randperm(ROWS, generator=torch.Generator().manual_seed(epoch))


def make_engine(
    case: Case,
    *,
    dtype: str = "fp64",
    exact: bool = False,
    batch: int = 24,
    micro_batches: int = 8,
    bad: Sequence[int] = (),
) -> Engine:
    """An engine of the case, not yet in a generation. ``bad``: positions of each epoch whose rows cannot be used."""
    torch.manual_seed(7)
    precision = Precision("fp64" if dtype == "fp64" else "fp32", CPU)
    module = case.model().to(precision.dtype)
    columns = {n: c.to(precision.dtype) if c.is_floating_point() else c for n, c in case.data().items()}

    def load(epoch: int, start: int, stop: int) -> Batch:
        rows = order(epoch)
        good = rows[[i for i in range(start, stop) if i not in bad]]
        stamp = total(stamps(0, rows[start:stop].numpy()))
        return Batch({n: c[good] for n, c in columns.items()}, stamp=stamp, bad=stop - start - len(good))

    def loss(b: Batch) -> Loss | Tensor:
        return case.loss(module, b)

    findings = probe(module, {"train": loss}, load(0, 0, 3), precision=precision, streams=Streams(1, CPU))
    trained = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    flat = FlatParameters(trained)
    optimizer = case.optimizer([p for _, p in trained])
    merges = case.merges and not exact
    assert not merges or findings.unmergeable is None, findings.unmergeable
    return Engine(
        Replica(module, {"train": optimizer}, precision=precision),
        [DescendPart(Descend(loss=loss), flat, Update(flat, optimizer))],
        plan=Plan(ROWS, batch_size=batch, micro_batches=micro_batches, pass_rows=batch if merges else None),
        load=load,
        precision=precision,
        device=CPU,
        seed=1,
        exact=exact,
        moving=findings.moving,
    )
