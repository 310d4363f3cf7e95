"""A job: what to train, on which data, how, and until when. It says nothing about how many machines.

    job = Job(model=Net, loss="cross_entropy", data=Parquet(path="train.parquet"), optimizer=AdamW(lr=1e-3), epochs=5)

Checked when it is made: a wrong or contradictory field raises JobError, before anything trains.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from gdist.description import Description, nearest
from gdist.errors import JobError
from gdist.job.callback import Callback
from gdist.job.clipping import Clip
from gdist.job.stopping import Stop
from gdist.optim import AdamW, Optimizer, as_optimizer
from gdist.schedule import Constant, Schedule, as_schedule
from gdist.task.losses import named
from gdist.task.metrics import known

DEFAULT_EPOCHS = 10


def _source(value: Any) -> Any:
    if value is None or isinstance(value, float):
        return value
    from gdist.data.wrap import as_source

    return as_source(value)


def _loss(value: Any) -> Any:
    if isinstance(value, str):
        named(value)
    return value


class Job(Description):
    """Every field can be set from the command line by its dotted path: ``optimizer.lr=0.003``, ``clip.norm=1``,
    ``model.width=64`` (an argument of the model's function)."""

    model: Callable[..., Any] | None = Field(
        None, description="function or class that makes the nn.Module; no base class needed"
    )
    model_args: dict[str, Any] = Field(default_factory=dict, description="its keyword arguments; model.NAME=value sets one")
    loss: Annotated[str | Callable[..., Any] | None, BeforeValidator(_loss)] = Field(
        None,
        description="a name (mse, cross_entropy ...), or a function loss(model, batch) -> mean, or Loss(mean, weight, log)",
    )
    predict: Callable[..., Any] | None = Field(
        None, description="predict(model, batch) -> outputs, for named losses and metrics; default model(batch.features)"
    )
    task: type[Any] | None = Field(
        None, description="a Task class, for what a model and a loss do not say (GAN, clustering ...)"
    )

    data: Annotated[Any, BeforeValidator(_source)] = Field(
        description="training data: Parquet(...), Tensors(...), (x, y) arrays, or a map-style torch Dataset"
    )
    validation: Annotated[Any, BeforeValidator(_source)] = Field(
        None, description="validation data likewise, or the share of the training rows to hold out (0 to 1)"
    )
    shuffle: bool = Field(True, description="a new order each epoch, a function of seed, epoch and position")
    batch_size: PositiveInt | Literal["full"] = Field(64, description='samples a step, over all workers; "full": all of them')
    micro_batches: PositiveInt | None = Field(
        None, description="parts of a step that workers share; part of the mathematics. None: chosen from the job alone"
    )
    accumulate: PositiveInt | None = Field(None, description="what others call micro_batches=N; understood, and stored as that")
    merge: bool | Literal["auto"] = Field(
        "auto",
        description="several micro-batches in one pass: auto where that changes only rounding; true also where it draws other "
        "random numbers; false never",
    )
    pass_size: PositiveInt | None = Field(None, description="most samples of a merged pass (memory). None: the whole batch")

    optimizer: Annotated[Optimizer, BeforeValidator(as_optimizer)] = Field(
        default_factory=AdamW, description="sgd, momentum, adagrad, rmsprop, adam, adamw, or a torch.optim class"
    )
    schedule: Annotated[Schedule, BeforeValidator(as_schedule)] = Field(
        default_factory=Constant, description="constant, step_decay, cosine, linear, warmup_stable_decay; each with warmup"
    )
    clip: Clip | None = Field(None, description="Clip(norm=...) or Clip(value=...)")
    ema: float | None = Field(
        None, gt=0, lt=1, description="decay of a moving average of the weights, which is then the result"
    )
    initialize: Literal["he", "xavier"] | None = Field(None, description="initial weights of linear and convolutional layers")
    init_from: str | None = Field(None, description="start from these weights: a safetensors file, or a run's folder")

    epochs: PositiveInt | None = Field(None, description=f"passes over the data; {DEFAULT_EPOCHS} if nothing ends the run")
    steps: PositiveInt | None = Field(None, description="steps, instead of epochs")
    stop: Stop = Field(default_factory=Stop, description="rules that end the run earlier")
    metrics: tuple[str, ...] = Field((), description="accuracy, f1, precision, recall, auroc, mse, mae, r2 ... of validation")
    evaluate_every: PositiveInt | None = Field(None, description="steps between evaluations. None: each epoch")
    checkpoint_every: PositiveInt | None = Field(None, description="steps between checkpoints. None: each epoch")
    keep_checkpoints: PositiveInt = Field(3, description="how many regular checkpoints stay")
    callbacks: tuple[Callback, ...] = Field((), description="watchers: Callback objects")

    precision: Literal["fp32", "bf16", "fp16", "fp64"] = Field("fp32", description="of the computation; weights stay fp32")
    recompute: Literal["none", "blocks"] | tuple[str, ...] = Field(
        "none", description="activation checkpointing: none, blocks (all of them), or module names"
    )
    non_finite: Literal["stop", "skip"] = Field("stop", description="what a loss or gradient that is not finite does")
    non_finite_limit: PositiveInt = Field(10, description="skips in a row that end the run all the same")
    seed: NonNegativeInt = Field(0, description="of the initial weights, the order of samples, and all random numbers")
    exact: bool = Field(False, description="the same bits at any number of workers")
    hash_every: PositiveInt = Field(100, description="steps between comparisons of the weights over the workers")
    threads: PositiveInt | None = Field(None, description="of torch's kernels in each worker. None: the cores are shared")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one")
    gpus_per_worker: PositiveFloat | None = Field(None, description="GPUs that a worker asks the cluster for")
    cpus_per_worker: PositiveFloat | None = Field(None, description="CPU cores that a worker asks the cluster for")
    name: str | None = Field(None, description="of the runs; default: the file's")

    @model_validator(mode="before")
    @classmethod
    def _understood(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = dict(data)
            accumulate = data.pop("accumulate", None)
            if accumulate is not None:
                if data.get("micro_batches") not in (None, accumulate):
                    raise JobError(
                        f"accumulate={accumulate} and micro_batches={data['micro_batches']} are two names for one thing",
                        help="micro_batches is the number of parts of a step, however many workers share them: set only that",
                    )
                data["micro_batches"] = accumulate
            if isinstance(data.get("recompute"), list):
                data["recompute"] = tuple(data["recompute"])
            if isinstance(data.get("metrics"), str):
                data["metrics"] = (data["metrics"],)
        return data

    @model_validator(mode="after")
    def _agrees(self) -> Job:
        self._check_task()
        self._check_end()
        for name in self.metrics:
            known(name)
        if isinstance(self.validation, float) and not 0 < self.validation < 1:
            raise JobError(f"validation cannot be {self.validation:g}", help="give a share between 0 and 1, or a source")
        if self.batch_size != "full" and self.micro_batches is not None and self.micro_batches > self.batch_size:
            raise JobError(
                f"micro_batches={self.micro_batches} parts cannot be cut from batch_size={self.batch_size} samples",
                help=f"set micro_batches to at most {self.batch_size}",
            )
        if self.exact and self.merge is True:
            raise JobError(
                "exact=True computes every micro-batch alone; merge=True asks for the opposite", help="leave merge out"
            )
        if self.pass_size is not None and (self.exact or self.merge is False):
            raise JobError("pass_size has no effect where passes are not merged", help="leave pass_size out")
        return self

    def _check_task(self) -> None:
        if self.task is None:
            missing = [name for name in ("model", "loss") if getattr(self, name) is None]
            if missing:
                raise JobError(
                    f"a job needs a {missing[0]}", help=f"Job({missing[0]}=...), or a task of its own: Job(task=...)"
                )
        if self.model is not None:
            check_model_args(self.model, self.model_args)

    def _check_end(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise JobError(f"epochs={self.epochs} and steps={self.steps} both say when to end", help="set one of them")
        rules = self.stop
        needs_validation = rules.metric.startswith("validation.") and (rules.patience is not None or rules.restore_best)
        if needs_validation and self.validation is None:
            raise JobError(
                f"{'stop.patience' if rules.patience is not None else 'stop.restore_best'} watches {rules.metric}, "
                "but the job has no validation data",
                help="set validation, or stop.metric=train.loss",
            )
        watched = rules.metric.partition(".")[2]
        if needs_validation and watched != "loss" and watched not in self.metrics and isinstance(self.loss, str):
            raise JobError(
                f"stop.metric watches {rules.metric}, which is not measured",
                help=f"add it: metrics=[{watched!r}]"
                if watched in _metric_names()
                else f"metrics: {', '.join(_metric_names())}",
            )
        if self.schedule.needs_total and self.last is None:
            raise JobError(f"the {self.schedule.kind} schedule needs to know the end of the run", help="set epochs or steps")

    @property
    def last(self) -> tuple[Literal["epochs", "steps"], int] | None:
        """What ends the run at the latest: ("epochs", n) or ("steps", n); None where only a stop rule does."""
        if self.steps is not None:
            return "steps", self.steps
        if self.epochs is not None:
            return "epochs", self.epochs
        rules = self.stop
        ruled = rules.wall_seconds or rules.loss_below is not None or rules.tolerance or rules.patience
        return None if ruled else ("epochs", DEFAULT_EPOCHS)


def check_model_args(model: Callable[..., Any], args: dict[str, Any]) -> None:
    """Raises JobError for an argument that ``model`` does not take, or needs and has not."""
    try:
        parameters = inspect.signature(model).parameters
    except (TypeError, ValueError):
        return
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in args:
            if name not in parameters:
                near = nearest(name, parameters)
                mend = f"did you mean `model.{near}`? " if near else ""
                raise JobError(
                    f"the model has no argument `{name}`", where=f"model.{name}",
                    help=f"{mend}arguments: {', '.join(parameters) or 'none'}",
                )  # fmt: skip
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            if name not in args:
                raise JobError(f"the model needs an argument `{name}`", help=f"Job(model_args={{{name!r}: ...}}) or a default")


def _metric_names() -> list[str]:
    from gdist.task.metrics import METRICS

    return list(METRICS)
