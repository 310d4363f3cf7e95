"""What a job computes: the contract that a supervised job, a GAN, a policy gradient and clustering have in common.

A Task owns one ``module`` (all that is trained and saved) and a ``cycle`` of named phases, run in order in every step:

    Descend   a loss whose gradient is summed over the micro-batches and followed by an optimizer
    Gather    ``contribute(batch, rng) -> tensors``, summed over the micro-batches, then ``apply(sums)`` on every worker alike

Whatever a micro-batch needs is a function of the weights, the batch and its own random stream. ``state`` is tensors and
JSON, and is all that travels and is saved beside the module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gdist.errors import JobError

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from gdist.data.batch import Batch
    from gdist.job.job import Job
    from gdist.optim.optimizer import Optimizer


@dataclass(frozen=True)
class Loss:
    """What a loss function returns when the mean alone does not say enough.

    ``mean``: scalar tensor, the mean over the micro-batch; ``weight``: what it is a mean over (None: its rows; a language
    model gives its tokens), a number or a scalar tensor; ``log``: scalars of the user's own, shown in every view as means
    weighted alike (the same names at every step, at most 16).

    >>> Loss(cross_entropy, weight=tokens, log={"accuracy": accuracy})  # doctest: +SKIP
    """

    mean: Tensor
    weight: float | Tensor | None = None
    log: Mapping[str, float | Tensor] = field(default_factory=dict)

    @staticmethod
    def parts(value: Loss | Tensor, *, rows: int) -> tuple[Tensor, float | Tensor, dict[str, float | Tensor]]:
        """(mean, weight, log) of what a loss returned for a batch of ``rows``; JobError where it is no scalar."""
        loss = value if isinstance(value, Loss) else Loss(value)
        if not hasattr(loss.mean, "dim") or loss.mean.dim() != 0:
            shape = tuple(loss.mean.shape) if hasattr(loss.mean, "shape") else type(loss.mean).__name__
            raise JobError(
                f"the loss is not a scalar tensor but {shape}",
                where="loss(model, batch)",
                help="return the mean over the micro-batch, or Loss(mean, weight=...)",
            )
        if "loss" in loss.log:
            raise JobError("`loss` is the loss itself, not a name to log", where="Loss(log=...)", help="name it otherwise")
        return loss.mean, rows if loss.weight is None else loss.weight, dict(loss.log)


@dataclass(frozen=True, kw_only=True)
class Descend:
    """A phase that follows a gradient. ``parameters``: what it trains (None: all of the module's that require a gradient);
    ``loss(batch)`` -> scalar mean or Loss; ``optimizer``: None for the job's own."""

    name: str = "train"
    loss: Callable[[Batch], Loss | Tensor]
    parameters: Sequence[nn.Parameter] | None = None
    optimizer: Optimizer | None = None


@dataclass(frozen=True, kw_only=True)
class Gather:
    """A phase that gathers sums. ``contribute(batch, rng)`` -> named tensors of fixed shapes; ``apply(sums)`` -> scalars to
    log, or None. ``apply`` must be a function of the sums and of state that all workers share.

    ``merge(left, right)`` -> the same names and shapes: what takes the place of the sum of two contributions, where a sum does
    not say it (a maximum; a mean with its squared deviations). All in float64, ``left`` from earlier micro-batches than
    ``right``, along one fixed tree: it need not associate to the bit. It may change and return ``left``. Zeros stand for a
    micro-batch without rows."""

    name: str
    contribute: Callable[[Batch, Generator], Mapping[str, Tensor]]
    apply: Callable[[Mapping[str, Tensor]], Mapping[str, float] | None]
    merge: Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None


class Task:
    """Subclass this where a model and a loss do not say it; pass the class as ``Job(task=...)``.

    ``module`` must be set by ``__init__``: one nn.Module with everything that is trained or saved (an ``nn.ModuleDict`` of
    several). It is made under the job's seed, alike on every worker.
    """

    module: nn.Module

    def __init__(self, job: Job) -> None:
        self.job = job

    def cycle(self) -> list[Descend | Gather]:
        """The phases of one step, in order. Called once, after ``module`` has its final dtype, device and memory."""
        raise NotImplementedError

    def evaluate(self, batch: Batch) -> Loss | Tensor:
        """The validation loss of a batch (the module is in eval mode, gradients are off)."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> Tensor:
        """The outputs for a batch, [rows, ...]: what metrics compare with ``batch.target``."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What the task must keep beside the module: tensors and JSON."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes back what ``state`` gave."""
