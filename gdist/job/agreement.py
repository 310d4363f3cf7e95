"""Whether the fields of a job agree with each other: what could not be kept at step 10,000 is refused at step 0, and so is
a setting that cannot act."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gdist.data.mix import Mix
from gdist.data.source import Source
from gdist.data.split import settle
from gdist.description import nearest, refuse
from gdist.job.measures import METRICS

if TYPE_CHECKING:
    from gdist.job.job import Job


def check(job: Job) -> None:
    """Raises JobError for the first contradiction."""
    _model(job)
    _micro_batches(job)
    _end(job)
    _data(job)
    _validation(job)
    _schedule(job)
    _machine(job)


def model_arguments(model: Callable[..., Any] | None) -> dict[str, inspect.Parameter] | None:
    """The keyword arguments of a model's function by name; None where it takes any, or cannot be asked."""
    try:
        parameters = inspect.signature(model).parameters if model is not None else {}
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return {name: p for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def takes_data(function: Callable[..., Any]) -> bool:
    """Whether a model's function, or a task's class, has a parameter called ``data``, for the facts of the data."""
    return "data" in (model_arguments(function) or {})


def unknown_argument(name: str, arguments: dict[str, inspect.Parameter]) -> tuple[str, str]:
    """(what, help) for an argument that the model does not take."""
    near = nearest(name, arguments)
    meant = f"did you mean `model.{near}`? " if near else ""
    return f"the model takes no argument `{name}`", f"{meant}its arguments: {', '.join(arguments) or 'none'}"


def _model(job: Job) -> None:
    if job.task is None and job.model is None:
        refuse("`model` is missing", help="Job(model=...): what makes the nn.Module; or a task of its own: Job(task=...)")
    if job.task is None and job.loss is None:
        refuse("`loss` is missing", help="Job(loss='mse'), or a function loss(model, batch), or Job(task=...)")
    if job.model is None and job.model_args:
        refuse("`model_args` cannot act: the job has no model", help="leave `model_args` out")
    arguments = model_arguments(job.model)
    for name in job.model_args:
        if arguments is not None and name not in arguments:
            what, help = unknown_argument(name, arguments)
            refuse(what, help=help)
    for name in _needed(job.model):
        if name not in job.model_args and name != "data":  # which it gets from the data
            refuse(f"the model needs an argument `{name}`", help=f"model_args={{{name!r}: ...}}, or a default in its function")
    if job.initialize is not None and job.init_from is not None:
        refuse(
            f"`initialize`={job.initialize!r} would be overwritten by the weights of `init_from`", help="leave one of them out"
        )


def _needed(model: Callable[..., Any] | None) -> Iterator[str]:
    try:
        parameters = inspect.signature(model).parameters if model is not None else {}
    except (TypeError, ValueError):
        return
    for name, p in parameters.items():
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY, p.POSITIONAL_ONLY):
            yield name


def _micro_batches(job: Job) -> None:
    if job.accumulate is not None and "micro_batches" in job.model_fields_set and job.micro_batches is not None:
        refuse(
            f"`accumulate`={job.accumulate} and `micro_batches`={job.micro_batches} are two names for one thing",
            help="set only micro_batches: the parts of a step, however many workers share them",
        )
    parts = job.accumulate or job.micro_batches
    if job.batch_size != "full" and parts is not None and parts > job.batch_size:
        refuse(
            f"`batch_size`={job.batch_size} samples cannot be cut into `micro_batches`={parts} parts",
            help=f"micro_batches must be at most {job.batch_size}; batch_size counts the samples of all of them",
        )
    if job.exact and job.merge is True:
        refuse("`exact` computes every micro-batch by itself, `merge`=True asks for the opposite", help="leave one of them out")
    if job.pass_size is not None and (job.exact or job.merge is False):
        reason = "`exact`" if job.exact else "`merge`=False"
        refuse(f"`pass_size` cannot act: with {reason} passes are not merged", help="leave `pass_size` out")


def _end(job: Job) -> None:
    if job.epochs is not None and job.steps is not None:
        refuse(f"`epochs`={job.epochs} and `steps`={job.steps} both say when to end", help="set one of them")
    if "non_finite_limit" in job.model_fields_set and job.non_finite == "stop":
        refuse(
            f"`non_finite_limit`={job.non_finite_limit} cannot act: `non_finite`='stop' ends the run at once",
            help="non_finite='skip' allows that many in a row",
        )


def _data(job: Job) -> None:
    if isinstance(job.data, Mix) and not job.shuffle:
        refuse(
            "the proportions of a mix cannot be kept with `shuffle`=False: its sources would come one after the other",
            help="leave `shuffle` out",
        )


def _validation(job: Job) -> None:
    stop = job.stop
    split = settle(job.validation, job.test)
    validates = isinstance(job.validation, Source) or (split is not None and split.validates)
    tests = isinstance(job.test, Source) or (split is not None and split.test is not None)
    if job.metrics and not validates and not tests:
        refuse(
            f"`metrics` {', '.join(job.metrics)} cannot be measured: the job has no validation data",
            help="validation=0.1 holds out a tenth of the rows; or validation=Parquet(...)",
        )
    part, _, watched = stop.metric.partition(".")
    if not stop.watches or part == "train":
        return
    rule = next(f"stop.{name}" for name in ("patience", "restore_best", "keep_best") if getattr(stop, name))
    if not validates:
        refuse(
            f"`{rule}` watches {stop.metric}, but the job has no validation data",
            help="validation=0.1 holds out a tenth of the rows; or stop.metric='train.loss'",
        )
    logs_of_its_own = job.task is not None or callable(job.loss)  # names that a loss logs are known only when it runs
    if watched != "loss" and watched not in job.metrics and (watched in METRICS or not logs_of_its_own):
        near = nearest(watched, ["loss", *job.metrics])
        meant = f"did you mean 'validation.{near}'? " if near else ""
        mend = f"metrics=[{watched!r}]" if watched in METRICS else f"measured: {', '.join(['loss', *job.metrics])}"
        refuse(f"`{rule}` watches {stop.metric}, which the job does not measure", help=meant + mend)


def _schedule(job: Job) -> None:
    schedule = job.schedule
    if schedule.needs_total and job.last is None:
        refuse(
            f"`schedule` {schedule.kind} must know where the run ends, and the job ends only by a stop rule",
            help="set epochs, steps, or schedule.steps",
        )
    if job.steps is not None and schedule.warmup >= job.steps:
        refuse(
            f"`schedule.warmup`={schedule.warmup} is as long as the whole run of `steps`={job.steps}",
            help=f"warmup must be below {job.steps}",
        )


def _machine(job: Job) -> None:
    if job.device == "cpu" and job.gpus_per_worker is not None:
        refuse(f"`gpus_per_worker`={job.gpus_per_worker:g} cannot act with `device`='cpu'", help="leave one of them out")
