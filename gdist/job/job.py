"""A job: what to train, on which data, how, and until when. It says nothing about how many machines.

    job = Job(model=Net, loss="cross_entropy", data=Parquet(path="train.parquet"), optimizer=AdamW(lr=1e-3), epochs=5)

Invariant: a job that exists agrees with itself. A wrong field, or two that contradict each other, raise JobError when the
job is made, before anything trains.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from gdist.description import Description
from gdist.job import agreement, every, takes
from gdist.job.callback import Callback
from gdist.job.clipping import Clip
from gdist.job.stopping import Stop
from gdist.optim import AdamW, Optimizer, as_optimizer
from gdist.schedule import Constant, Schedule, as_schedule

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from gdist.data.batch import Batch
    from gdist.task.task import Loss, Task

    Kept = TypeVar("Kept")
    Given = TypeVar("Given")

    class Understood(Generic[Kept, Given]):
        """How a type checker sees a field that takes more than it keeps."""

        def __get__(self, instance: object, owner: Any) -> Kept: ...
        def __set__(self, instance: object, value: Given) -> None: ...

    OptimizerField = Understood[Optimizer, Optimizer | str | dict[str, Any] | Callable[..., Any]]
    ScheduleField = Understood[Schedule, Schedule | str | dict[str, Any] | type[Schedule]]
    PathField = Understood[str | None, str | os.PathLike[str] | None]
    MakeModel = Callable[..., nn.Module]
    LossFunction = Callable[[Any, Batch], Tensor | Loss]
    Predict = Callable[[Any, Batch], Tensor]
    TransformFunction = Callable[[Batch, Generator], Batch | Mapping[str, Tensor]]
    TaskClass = type[Task]
else:  # what pydantic can see without importing torch; ``takes`` looks closer
    MakeModel = LossFunction = Predict = TransformFunction = Callable[..., Any]
    TaskClass = type[Any]
    OptimizerField = Annotated[Optimizer, BeforeValidator(as_optimizer)]
    ScheduleField = Annotated[Schedule, BeforeValidator(as_schedule)]
    PathField = Annotated[str | None, BeforeValidator(takes.path)]

DEFAULT_EPOCHS = 10
_ADAMW: Any = AdamW()
_CONSTANT: Any = Constant()
_NONE: Any = None


class Job(Description):
    """Every field can be set from the command line by its dotted path: ``optimizer.lr=0.003``, ``clip.norm=1``,
    ``model.width=64`` (an argument of the model's function)."""

    model: Annotated[MakeModel | None, BeforeValidator(takes.model)] = Field(
        default=None, description="function or class that makes the nn.Module; no base class needed"
    )
    model_args: dict[str, Any] = Field(default={}, description="the model's keyword arguments; model.NAME=value sets one")
    loss: Annotated[str | LossFunction | None, BeforeValidator(takes.loss)] = Field(
        default=None,
        description="a name (mse, cross_entropy ...), or a function loss(model, batch) -> mean, or Loss(mean, weight, log)",
    )
    predict: Annotated[Predict | None, BeforeValidator(takes.predict)] = Field(
        default=None,
        description="function predict(model, batch) -> outputs, for named losses and metrics; None: model(batch.features)",
    )
    task: Annotated[TaskClass | None, BeforeValidator(takes.task)] = Field(
        default=None, description="a Task class, for what a model and a loss do not say (GAN, clustering ...)"
    )

    data: Annotated[Any, BeforeValidator(takes.data)] = Field(
        description="training data: Parquet(...), Tensors(...), (x, y) arrays, or a map-style torch Dataset"
    )
    validation: Annotated[Any, BeforeValidator(takes.validation)] = Field(
        default=None, description="validation data likewise, or the share of the training rows to hold out, or Split(...)"
    )
    test: Annotated[Any, BeforeValidator(takes.test)] = Field(
        default=None, description="data, or a share of the training rows to hold out, for one evaluation at the end"
    )
    transform: Annotated[TransformFunction | None, BeforeValidator(takes.transform)] = Field(
        default=None,
        description="function transform(batch, rng) -> batch, for augmentation: of tensors, whole columns at a time; training "
        "only; rng is a torch.Generator of the micro-batch's own",
    )
    shuffle: bool = Field(default=True, description="a new order each epoch, a function of seed, epoch and position")
    batch_size: Annotated[int, Field(ge=1)] | Literal["full"] = Field(
        default=64, description="samples of a step, over all workers, at least 1; 'full': all there are"
    )
    micro_batches: int | None = Field(
        default=None, ge=1, description="parts of a step that workers share; part of the mathematics. None: from the job alone"
    )
    accumulate: int | None = Field(
        default=None, ge=1, description="what others call micro_batches=N: understood, and stored as that"
    )
    merge: bool | Literal["auto"] = Field(
        default="auto",
        description="several micro-batches in one pass: 'auto' where that changes only rounding; True also where it draws "
        "other random numbers; False never",
    )
    pass_size: int | None = Field(
        default=None, ge=1, description="most samples in a merged pass, a bound on memory. None: the whole batch"
    )

    optimizer: OptimizerField = Field(
        default=_ADAMW, description="sgd, momentum, adagrad, rmsprop, adam, adamw, or a torch.optim class"
    )
    schedule: ScheduleField = Field(
        default=_CONSTANT, description="constant, step_decay, cosine, linear, warmup_stable_decay; each with warmup"
    )
    clip: Clip | None = Field(default=None, description="Clip(norm=...) or Clip(value=...)")
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="decay of a moving average of the weights, which is then the result"
    )
    initialize: Literal["he", "xavier"] | None = Field(
        default=None, description="initial weights of linear and convolutional layers. None: torch's"
    )
    init_from: PathField = Field(default=_NONE, description="start from these weights: a safetensors file, or a run's folder")

    epochs: int | None = Field(
        default=None, ge=1, description=f"passes over the training data; {DEFAULT_EPOCHS} if nothing else ends the run"
    )
    steps: int | None = Field(default=None, ge=1, description="steps, instead of epochs")
    stop: Stop = Field(default=Stop(), description="rules that end the run earlier")
    metrics: Annotated[Sequence[str], BeforeValidator(takes.metrics)] = Field(
        default=(), description="of validation: accuracy, f1, precision, recall, auroc, mse, rmse, mae, r2 ..."
    )
    evaluate_every: int | None = Field(default=None, ge=1, description="steps between evaluations. None: each epoch")
    checkpoint_every: Annotated[int | str | None, BeforeValidator(every.check)] = Field(
        default=None, description="steps between checkpoints, or '10min', '2h', '1epoch'. None: each epoch"
    )
    keep_checkpoints: int = Field(default=3, ge=1, description="how many regular checkpoints stay")
    checkpoints: str | None = Field(
        default=None, description="an object store's URL (s3://bucket/prefix) for the checkpoints. None: in the run's folder"
    )
    checkpoint_patience: float | None = Field(
        default=3600.0, gt=0, description="seconds for which checkpoints may fail before that ends the run. None: for ever"
    )
    callbacks: Annotated[Sequence[Callback], BeforeValidator(takes.callbacks)] = Field(
        default=(), description="watchers: Callback objects"
    )

    precision: Literal["fp32", "bf16", "fp16", "fp64"] = Field(
        default="fp32", description="of the computation; weights and optimizer state stay fp32, or fp64"
    )
    recompute: Annotated[Literal["none", "blocks"] | Sequence[str], BeforeValidator(takes.recompute)] = Field(
        default="none", description="activation checkpointing: 'none', 'blocks' (all of them), or a list of module names"
    )
    non_finite: Literal["stop", "skip"] = Field(
        default="stop", description="what a step whose loss or gradient is not finite does: 'stop' the run, or 'skip' it"
    )
    non_finite_limit: int = Field(default=10, ge=1, description="skipped steps in a row that end the run all the same")
    poisoned: Literal["stop", "skip"] = Field(
        default="stop",
        description="what a micro-batch in which two workers have died does: 'stop' the run, or is left out ('skip')",
    )
    seed: int = Field(default=0, ge=0, description="of the initial weights, the order of samples, and all random numbers")
    exact: bool = Field(default=False, description="the same bits at any number of workers")
    hash_every: int = Field(default=100, ge=1, description="steps between comparisons of the weights over the workers")
    threads: int | None = Field(
        default=None, ge=1, description="of torch's kernels in each worker. None: the machine's cores are shared"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="'auto': a GPU where there is one")
    gpus_per_worker: float | None = Field(default=None, gt=0, description="GPUs that a worker asks the cluster for")
    cpus_per_worker: float | None = Field(default=None, gt=0, description="CPU cores that a worker asks the cluster for")
    name: Annotated[str | None, BeforeValidator(takes.name)] = Field(
        default=None, description="of the runs. None: the job file's"
    )

    @model_validator(mode="after")
    def _agrees(self) -> Job:
        agreement.check(self)
        if self.accumulate is not None:
            object.__setattr__(self, "micro_batches", self.accumulate)
        return self

    @property
    def last(self) -> tuple[Literal["epochs", "steps"], int] | None:
        """What ends the run at the latest: ("epochs", n) or ("steps", n); None where only a stop rule does."""
        if self.steps is not None:
            return "steps", self.steps
        if self.epochs is not None:
            return "epochs", self.epochs
        return None if self.stop.rules else ("epochs", DEFAULT_EPOCHS)
