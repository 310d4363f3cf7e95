"""A trained run, opened to be used: its job, its weights, and the rows that something is asked about. Nothing trains here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gdist.data.elsewhere import read_at, with_features, without_target
from gdist.data.facts import DataFacts
from gdist.data.feed import Feed
from gdist.data.learned.learned import Learned
from gdist.data.learned.recipe import Value
from gdist.data.source import Source
from gdist.data.storage.secrets import shown_url
from gdist.data.table import Columns, Table
from gdist.data.wrap import as_source
from gdist.engine.precision import Precision
from gdist.engine.replica import Replica, load_weights
from gdist.errors import DataError, UsageError
from gdist.run.checkpoint import newest_checkpoint, read_checkpoint, read_state
from gdist.run.folder import RunFolder
from gdist.run.model import load_into
from gdist.run.store import Location, is_url
from gdist.task.task import Task
from gdist.worker.blame import blaming_user
from gdist.worker.build import make_task
from gdist.worker.machine import be_deterministic, choose_device
from gdist.worker.opening import find_data, open_data

if TYPE_CHECKING:
    from gdist.job.job import Job
    from gdist.records import Order


@dataclass(frozen=True, kw_only=True)
class Trained:
    """``groups``: the micro-batches that its steps had; ``weights``, ``rows_of``: which, in words."""

    job: Job
    task: Task
    replica: Replica
    feed: Feed
    device: torch.device
    precision: Precision
    groups: int
    weights: str
    rows_of: str
    classes: tuple[Value, ...] | None  # what the target's codes stand for, where it is a category


def open_trained(job: Job, order: Order) -> Trained:
    """Raises JobError, DataError, CheckpointError, UserCodeError."""
    assert order.run_dir is not None
    assert order.weights is not None
    if job.exact:
        be_deterministic()
    run = RunFolder(Path(order.run_dir))
    device = choose_device(job.device)
    precision = Precision(job.precision, device)
    feed, rows_of = _open_rows(job, order, run, device, precision)
    facts = DataFacts.from_json(known["facts"]) if (known := run.data()).get("facts") else feed.rows.facts()
    task, _ = make_task(_as_trained(job), facts, device, precision)
    with torch.no_grad():
        _take_weights(task, order.weights, run)
    task.module.requires_grad_(False)
    _require_target(job, order, feed)
    return Trained(
        job=job, task=task, replica=Replica(task.module, {}, precision=precision, task=task), feed=feed, device=device,
        precision=precision, groups=int((run.job().get("job") or {}).get("micro_batches") or 1),
        weights=_shown(order.weights, run), rows_of=rows_of,
        classes=_classes(_state(run)),
    )  # fmt: skip


def _as_trained(job: Job) -> Job:
    """The job without what only matters to a model that is yet to be trained."""
    return job.model_copy(update={"initialize": None, "init_from": None, "recompute": "none"})


def _open_rows(job: Job, order: Order, run: RunFolder, device: torch.device, precision: Precision) -> tuple[Feed, str]:
    """The rows asked about, in their order, and which they are in words."""
    source, rows_of = _source(job, order)
    if source is None:
        return _held_out(job, run, device, precision)
    if source is not job.data and isinstance(source, Columns) and isinstance(job.data, Columns):
        source = source.like(job.data)
    source = with_features(source, _state(run).get("features") or ())
    if order.purpose == "predict":
        source = without_target(source)
    with blaming_user("the data could not be opened"):
        known = Learned.from_json(_state(run).get("learned") or {})
        rows = (source.open(text=known.text) if isinstance(source, Table) else source.open()).with_state(_state(run))
    return Feed(rows, shuffle=False, device=device, float_dtype=precision.dtype), rows_of


def _source(job: Job, order: Order) -> tuple[Source | None, str]:
    """None where the job holds out rows of its training data."""
    if isinstance(order.data, str):
        return read_at(job.data, order.data), order.data
    if order.data is not None:
        return as_source(order.data), "the data given"
    if order.whole:
        return job.data, "all of the job's data"
    for part, source in (("test", getattr(job, "test", None)), ("validation", job.validation)):
        if isinstance(source, Source):
            return source, f"the {part} data"
        if source is not None:
            return None, ""
    raise UsageError(
        "the job holds no rows out, so it has none to use", where=f"run {order.run_dir}", help="say on which: --data PATH"
    )


def _held_out(job: Job, run: RunFolder, device: torch.device, precision: Precision) -> tuple[Feed, str]:
    """Rows of the training data that the run has not trained on: which ones follows from the data, so it must be the same."""
    data = open_data(find_data(job).with_state(_state(run)), device, precision)
    before = _fingerprint(run)
    if before is not None and before != data.fingerprint:
        raise DataError(
            "the data is not what the run was trained on, so that nobody knows which rows it held out",
            where=f"run {run.name}",
            note=f"{before} then, {data.fingerprint} now",
            help="restore it, or say on which rows: --data PATH",
        )
    part = "test" if data.test is not None else "validation"
    feed: Feed | None = getattr(data, part)
    assert feed is not None, "the job holds rows out"
    return feed, f"the {part} rows"


def _state(run: RunFolder) -> dict[str, Any]:
    """What the run learned from the rows that it trained on."""
    found: dict[str, Any] = run.data().get("state") or {}
    return found


def _classes(state: Mapping[str, Any]) -> tuple[Value, ...] | None:
    """What a class number stands for; None where the target is no category, or several columns."""
    columns = Learned.from_json(state.get("learned") or {}).columns.values()
    found = [each.vocabulary for each in columns if each.rule.target and each.vocabulary is not None]
    return found[0] if len(found) == 1 else None


def _fingerprint(run: RunFolder) -> str | None:
    """Of the training data, as the newest checkpoint has it."""
    newest = newest_checkpoint(run.checkpoints)
    if newest is None:
        return None
    found: str | None = read_state(newest).get("data")
    return found


def _shown(weights: str, run: RunFolder) -> str:
    return shown_url(weights) if is_url(weights) else str(Path(weights).relative_to(run.path))


def _take_weights(task: Task, path: str, run: RunFolder) -> None:
    """From a model file, or a checkpoint (the moving averages of the weights, where it has them)."""
    if not is_url(path) and Path(path).is_file():
        load_into(task.module, path)
        if task.state():  # what a task keeps beside its module stands in checkpoints alone
            newest = newest_checkpoint(run.checkpoints)
            if newest is not None:
                _take_state(task, newest)
        return
    checkpoint = read_checkpoint(path)
    named = {**dict(task.module.named_parameters()), **dict(task.module.named_buffers())}
    load_weights(named, {**checkpoint.files.get("model", {}), **checkpoint.files.get("averages", {})})
    if task.state():
        _take_state(task, path)


def _take_state(task: Task, path: Location) -> None:
    checkpoint = read_checkpoint(path)
    replica: dict[str, Any] = checkpoint.state["replica"]
    with blaming_user("the task could not take its state back"):
        task.load_state({**checkpoint.files.get("task", {}), **replica.get("task", {})})


def _require_target(job: Job, order: Order, feed: Feed) -> None:
    """Where the loss or a metric is one that compares with a target."""
    if order.purpose == "predict":
        return
    compares = job.metrics or (job.task is None and isinstance(job.loss, str))
    if compares and "target" not in feed.rows.columns():
        raise DataError(
            "the data has no target to compare with", help="name the target's column in the data; without one: gdist predict"
        )
