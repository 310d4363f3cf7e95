"""Small jobs for the tests of a worker's life, and how to train one as any number of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gdist.data.batch import Batch
from gdist.engine.collective import Collective
from gdist.job import Job
from gdist.job.overrides import apply_overrides
from gdist.records import Membership, Order, Update, Wishes
from gdist.run.folder import RunFolder
from gdist.task.task import Descend, Gather, Loss, Task
from gdist.worker.member import Member

ROWS = 90


def arrays(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 12, generator=generator)
    return x, (x[:, :4] + 0.5 * torch.randn(ROWS, 4, generator=generator)).argmax(1)


def network(width: int = 16, dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Linear(12, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)),
        nn.Sequential(nn.Linear(width, 4)),
    )


def plain(width: int = 16) -> nn.Module:
    return nn.Sequential(nn.Linear(12, width), nn.Tanh(), nn.Linear(width, 4))


class Adversaries(Task):
    """A generative adversarial network: two updates in a step, the second with the first's new weights."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.generator = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 12))
        self.judge = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 1))
        self.module = nn.ModuleDict({"generator": self.generator, "judge": self.judge})

    def cycle(self) -> list[Descend | Gather]:
        return [
            Descend(name="judge", loss=self.judge_loss, parameters=list(self.judge.parameters())),
            Descend(name="generator", loss=self.generator_loss, parameters=list(self.generator.parameters())),
        ]

    def fakes(self, batch: Batch) -> Tensor:
        return self.generator(torch.randn(batch.rows, 3, dtype=batch.features.dtype))

    def judge_loss(self, batch: Batch) -> Loss:
        with torch.no_grad():
            fakes = self.fakes(batch)
        real = nn.functional.softplus(-self.judge(batch.features)).mean()
        return Loss(real + nn.functional.softplus(self.judge(fakes)).mean(), log={"real": real.detach()})

    def generator_loss(self, batch: Batch) -> Tensor:
        return nn.functional.softplus(-self.judge(self.fakes(batch))).mean()

    def evaluate(self, batch: Batch) -> Loss:
        return self.judge_loss(batch)


class Centres(Task):
    """Lloyd's k-means as sums over micro-batches: no gradient at all."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.module = nn.Module()
        self.module.register_buffer("centres", torch.eye(12)[:5].clone())

    def cycle(self) -> list[Descend | Gather]:
        return [Gather(name="assign", contribute=self.contribute, apply=self.move)]

    def contribute(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        distance = torch.cdist(batch.features, self.module.centres)
        nearest = nn.functional.one_hot(distance.argmin(1), 5).to(batch.features.dtype)
        return {"sum": nearest.T @ batch.features, "count": nearest.sum(0).long(), "inertia": (distance.min(1)[0] ** 2).sum()}

    def move(self, sums: Any) -> dict[str, float]:
        self.module.centres.copy_(sums["sum"] / sums["count"].clamp(min=1)[:, None])
        return {"inertia": float(sums["inertia"])}

    def evaluate(self, batch: Batch) -> Tensor:
        return (torch.cdist(batch.features, self.module.centres).min(1)[0] ** 2).mean()


def exploding(model: nn.Module, batch: Batch) -> Tensor:
    """Not finite where a micro-batch holds the row whose first feature is the largest."""
    loss = nn.functional.cross_entropy(model(batch.features), batch.target)
    return loss * (float("nan") if bool((batch.features[:, 0] > 2.0).any()) else 1.0)


COMMON: dict[str, Any] = {"validation": 0.2, "batch_size": 24, "epochs": 4, "threads": 1}
JOBS: dict[str, Any] = {
    "plain": lambda: Job(model=plain, loss="cross_entropy", data=arrays(), metrics=["accuracy"], **COMMON),
    "normed": lambda: Job(model=network, loss="cross_entropy", data=arrays(), metrics=["accuracy"], **COMMON),
    "gan": lambda: Job(task=Adversaries, data=arrays(), **COMMON),
    "centres": lambda: Job(task=Centres, data=arrays(), **COMMON),
    "exploding": lambda: Job(model=plain, loss=exploding, data=arrays(), **COMMON),
}


class Trained:
    """What a worker's run left: its result, lines, events, and the member itself."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.ledger: list[dict[str, Any]] = []
        self.result: dict[str, Any] = {}
        self.error: BaseException | None = None

    def losses(self) -> list[float]:
        return [line["loss"] for line in self.lines if line["kind"] == "step"]

    def named(self, event: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] == event]

    def send(self, update: Update) -> None:
        self.lines += update.lines
        self.events += update.events
        self.ledger += update.ledger


def train_job(
    collective: Collective, name: str, overrides: tuple[str, ...] = (), run_dir: str | None = None, resume: bool = False
) -> Trained:
    """Trains JOBS[name] as one worker of ``collective``'s generation."""
    trained = Trained()
    job = apply_overrides(JOBS[name](), overrides)
    wishes = Wishes()
    member = Member(Order(job=job, resume=resume, run_dir=run_dir), slot=collective.rank, send=trained.send, wishes=wishes)
    folder = RunFolder(Path(run_dir)) if run_dir and resume else None
    if run_dir and not resume and collective.rank == 0:
        folder = RunFolder.create(name=name, run_dir=run_dir)
    member.prepare()
    generation = (folder.last_generation() if folder else 0) + 1
    place = Membership(generation=generation, rank=collective.rank, size=collective.size, run_dir=run_dir)
    try:
        member.join(place, collective)
        trained.result = member.work()
    except Exception as error:
        trained.error = error
        member.outbox.flush()
    if folder:
        folder.append_ledger(trained.ledger)
        folder.append_metrics(trained.lines)
    return trained
