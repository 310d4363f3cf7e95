"""From a job's description to an engine that can step: model, data, plan, optimizers. The same on every worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from gdist.data.batch import Batch
from gdist.data.feed import Feed
from gdist.engine.engine import Engine
from gdist.engine.flat import FlatParameters
from gdist.engine.parts import DescendPart, GatherPart, Part, example_contribution
from gdist.engine.plan import Plan, digest
from gdist.engine.precision import Precision
from gdist.engine.probe import Findings, probe
from gdist.engine.recompute import recompute
from gdist.engine.replica import Replica
from gdist.engine.streams import Streams
from gdist.engine.update import Update
from gdist.errors import DataError, JobError
from gdist.job.describe import describe
from gdist.job.micro_batches import default_micro_batches
from gdist.optim.ema import EMA
from gdist.task.supervised import make
from gdist.task.task import Descend, Gather, Task
from gdist.worker.blame import blaming_user
from gdist.worker.machine import be_deterministic, choose_device
from gdist.worker.opening import Found, Opened, open_data

if TYPE_CHECKING:
    from gdist.data.facts import DataFacts
    from gdist.data.read_ahead import Span
    from gdist.job.job import Job

Trained = tuple[FlatParameters, torch.optim.Optimizer]

_PROBE_LEAST = 4  # rows, fewer of which cannot show whether a loss couples them
_PROBE_ROWS = 64  # at most: enough to see what a model does, little enough to cost nothing


@dataclass(frozen=True)
class Built:
    """A job ready to train on this worker. ``total_steps``: None where only a stop rule ends the run."""

    job: Job
    task: Task
    engine: Engine
    data: Opened
    findings: Findings
    averages: EMA | None
    device: torch.device
    precision: Precision
    total_steps: int | None

    @property
    def feed(self) -> Feed:
        """Of the training data."""
        return self.data.train

    @property
    def plan(self) -> Plan:
        return self.engine.plan


def build(job: Job, found: Found) -> Built:
    """Makes the model, opens the data, and looks at them with one micro-batch. Raises JobError, DataError, UserCodeError."""
    if job.exact:
        be_deterministic()
    device = choose_device(job.device)
    precision = Precision(job.precision, device)
    data = open_data(found, device, precision)
    feed = data.train
    task, cycle = make_task(job, feed.rows.facts(), device, precision)
    _require_distinct(cycle)
    batch_size = len(feed) if job.batch_size == "full" else min(job.batch_size, len(feed))

    streams = Streams(job.seed, device)
    cautious = job.micro_batches or default_micro_batches(batch_size, mergeable=False)
    rows = min(len(feed), max(_PROBE_LEAST, min(_PROBE_ROWS, batch_size // cautious)))
    losses = {phase.name: phase.loss for phase in cycle if isinstance(phase, Descend)}
    with blaming_user("one micro-batch through the model failed"):
        batch, span = _example(feed, rows, batch_size=batch_size)
    with blaming_user("one micro-batch through the model failed"), feed.placing(span):
        findings = probe(task.module, losses, batch, precision=precision, streams=streams)
        examples = {
            p.name: example_contribution(p, task.module, batch, seed=job.seed) for p in cycle if isinstance(p, Gather)
        }  # fmt: skip

    merges = bool(findings.unmergeable is None or job.merge is True) and job.merge is not False and not job.exact
    micro_batches = min(job.micro_batches or default_micro_batches(batch_size, mergeable=merges), batch_size)
    plan = Plan(
        len(feed),
        batch_size=batch_size,
        micro_batches=micro_batches,
        pass_rows=(job.pass_size or batch_size) if merges else None,
        least_rows=2 if findings.normalizes else 1,
    )
    if findings.normalizes and len(feed) % batch_size == 1:
        raise JobError(
            "the last batch of an epoch is a single sample, which batch norm cannot normalize",
            where=f"batch_size={job.batch_size}, {len(feed)} samples",
            help=f"set batch_size={batch_size + 1}, or use another norm",
        )
    total = None if job.last is None else job.last[1] * (plan.steps_per_epoch if job.last[0] == "epochs" else 1)
    trained = _flatten(cycle, task, job)  # before anything else looks at the parameters' memory: it is another afterwards
    averages = EMA(dict(task.module.named_parameters()), decay=job.ema) if job.ema is not None else None
    parts = _parts(cycle, trained, job, total, averages, examples)
    optimizers = {part.phase.name: part.update.optimizer for part in parts if isinstance(part, DescendPart)}
    engine = Engine(
        Replica(task.module, optimizers, precision=precision, averages=averages, task=task),
        parts,
        plan=plan,
        load=feed.take,
        transform=job.transform,
        precision=precision,
        device=device,
        seed=job.seed,
        exact=job.exact,
        moving=findings.moving,
        digest=digest(
            job=describe(job),
            data=data.fingerprint,
            learned=data.state,
            micro_batches=micro_batches,
            rows=len(feed),
            torch=torch.__version__,
        ),
    )
    return Built(job, task, engine, data, findings, averages, device, precision, total)


def _example(feed: Feed, rows: int, *, batch_size: int) -> tuple[Batch, Span]:
    """The first samples of the first step that has enough of them which are not bad, and where they stand. Raises DataError
    where all are bad."""
    starts = range(0, len(feed), batch_size)
    spans = ((0, start, min(start + (rows if not start else min(rows, batch_size)), len(feed))) for start in starts)
    best: tuple[Batch, Span] | None = None
    for span in spans:
        batch = feed.take(*span)
        if best is None or batch.rows > best[0].rows:
            best = batch, span
        if batch.rows >= min(rows, _PROBE_LEAST):
            break
    if best is None or not best[0].rows:
        raise DataError("every row of the training data is bad", help='on_bad_rows="error" says what is wrong with the first')
    return best


def make_task(job: Job, facts: DataFacts, device: torch.device, precision: Precision) -> tuple[Task, list[Descend | Gather]]:
    """The job's task for such data, its module ready on the device, and its cycle. Raises JobError, UserCodeError."""
    with blaming_user("the model could not be made"):
        torch.manual_seed(job.seed)
        task = make(job, facts)
        _prepare(task.module, job, device, precision)
        return task, task.cycle()


def _prepare(module: nn.Module, job: Job, device: torch.device, precision: Precision) -> None:
    """Initialization, saved weights, dtype, device and recomputation, in this order."""
    if not isinstance(module, nn.Module):
        raise JobError(f"the model is no torch module but {type(module).__name__}", where="model", help="return an nn.Module")
    if job.initialize is not None:
        from gdist.task.initialization import initialize

        initialize(module, job.initialize)
    if job.init_from is not None:
        from gdist.run.model import load_into

        load_into(module, job.init_from)
    module.to(device=device)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point() and tensor.dtype != precision.dtype:
            tensor.data = tensor.data.to(precision.dtype)
    module.train()
    recompute(module, job.recompute)


def _require_distinct(cycle: Sequence[Descend | Gather]) -> None:
    names = [phase.name for phase in cycle]
    for name in names:
        if names.count(name) > 1:
            raise JobError(f"two phases are called {name!r}", where="Task.cycle", help="give each a name: Descend(name=...)")


def _flatten(cycle: Sequence[Descend | Gather], task: Task, job: Job) -> dict[str, Trained]:
    """Each Descend phase's parameters in flat memory with their optimizer; phases that train the same ones share both."""
    names = {id(p): n for n, p in task.module.named_parameters()}
    made: dict[tuple[int, ...], Trained] = {}
    by_phase = {}
    for phase in cycle:
        if not isinstance(phase, Descend):
            continue
        wanted = phase.parameters if phase.parameters is not None else task.module.parameters()
        trained = list({id(p): p for p in wanted if p.requires_grad}.values())  # a tied weight once
        if not trained:
            raise JobError("nothing to train: every parameter is frozen", where=f"phase {phase.name}")
        if any(id(p) not in names for p in trained):
            raise JobError("a phase trains a parameter outside of task.module", where=f"phase {phase.name}")
        key = tuple(id(p) for p in trained)
        if key not in made:
            taken = {p for other in made for p in other} & set(key)
            if taken:
                shared = names.get(taken.pop(), "a parameter")
                raise JobError("two phases train parts of the same parameters", where=f"phase {phase.name}, {shared}")
            named = [(names[id(p)], p) for p in trained]
            made[key] = FlatParameters(named), (phase.optimizer or job.optimizer).build(named)
        by_phase[phase.name] = made[key]
    return by_phase


def _parts(
    cycle: Sequence[Descend | Gather],
    trained: dict[str, Trained],
    job: Job,
    total: int | None,
    averages: EMA | None,
    examples: dict[str, dict[str, torch.Tensor]],
) -> list[Part]:
    last = list(trained)[-1] if trained else None
    parts: list[Part] = []
    for phase in cycle:
        if not isinstance(phase, Descend):
            parts.append(GatherPart(phase, examples[phase.name]))
            continue
        flat, optimizer = trained[phase.name]
        update = Update(
            flat,
            optimizer,
            schedule=lambda step: job.schedule.factor(step, total=total),
            clip_norm=job.clip.norm if job.clip else None,
            clip_value=job.clip.value if job.clip else None,
            averages=averages if phase.name == last else None,
        )
        parts.append(DescendPart(phase, flat, update))
    return parts
