"""One micro-batch through every phase before anything trains: what does this model do that the engine must know?

Which buffers move in forward, whether random numbers are drawn, whether the loss of a batch is the mean of the losses of its
parts (only then may passes be merged), which parameters get a gradient, and with which bits. The module, the random state and
the gradients are left as they were.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gdist.engine.buffers import keeping_buffers
from gdist.engine.fingerprint import fingerprint
from gdist.engine.precision import Precision
from gdist.engine.streams import Streams
from gdist.errors import JobError
from gdist.task.task import Loss

if TYPE_CHECKING:
    from gdist.data.batch import Batch

LossFunction = Callable[[Any], Loss | Tensor]


@dataclass(frozen=True)
class Findings:
    """``moving``: names of buffers that forward changes; ``normalizes``: over the batch (batch norm);
    ``unmergeable``: why passes may not be merged, or None;
    ``without_gradient``: names of trained parameters that got none; ``loss``: of the first phase;
    ``gradient_bits``: a hash of each phase's loss and gradient, by which workers that compute differently are told apart."""

    moving: tuple[str, ...]
    normalizes: bool
    unmergeable: str | None
    without_gradient: tuple[str, ...]
    loss: float
    gradient_bits: str


def probe(
    module: nn.Module, losses: dict[str, LossFunction], batch: Batch, *, precision: Precision, streams: Streams
) -> Findings:
    """Runs forward and backward of each phase's loss on ``batch``. Raises JobError for what cannot be trained."""
    _refuse_collectives(module)
    moving: set[str] = set()
    reasons: list[str] = []
    got: set[str] = set()
    first: float | None = None
    bits: list[int] = []
    for phase, (name, loss) in enumerate(losses.items()):
        with _untouched(module):
            before = {n: (b, b.clone()) for n, b in module.named_buffers()}
            streams.begin(step=0, phase=phase, micro_batch=0)
            seeded = _random_state(batch)
            with precision.autocast():
                mean, _, _ = Loss.parts(loss(batch), rows=batch.rows)
            if any(not torch.equal(a, b) for a, b in zip(seeded, _random_state(batch), strict=True)):
                reasons.append("it draws random numbers (dropout or its like), and a merged pass would draw others")
            _refuse_replaced_buffers(module, before)
            moving |= {n for n, (b, old) in before.items() if not torch.equal(b, old)}
            _require_trainable(mean, name)
            torch.autograd.backward(mean)
            got |= {n for n, p in module.named_parameters() if p.grad is not None}
            _refuse_sparse(module)
            first = float(mean.detach()) if first is None else first
            bits.append(fingerprint([mean, *(p.grad for p in module.parameters() if p.grad is not None)]))
        modes = ("eval",) if reasons or moving else ("eval", "train")  # in train mode only where nothing is random or moves
        if not all(_is_additive(module, loss, batch, precision, mode) for mode in modes):
            reasons.append(f"its loss ({name}) couples the samples of a batch")
    normalizes = any(isinstance(m, _BatchNorm) for m in module.modules())
    if normalizes or moving:
        reasons.insert(0, "it normalizes over the batch or moves buffers in forward, so a pass is one micro-batch")
    trained = [n for n, p in module.named_parameters() if p.requires_grad]
    return Findings(
        moving=tuple(sorted(moving)),
        normalizes=normalizes,
        unmergeable=reasons[0] if reasons else None,
        without_gradient=tuple(n for n in trained if n not in got) if losses else (),
        loss=math.nan if first is None else first,
        gradient_bits=hashlib.sha256(repr(bits).encode()).hexdigest()[:16],
    )


def _random_state(batch: Batch) -> list[Tensor]:
    device = next(iter(batch.columns.values())).device
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _refuse_collectives(module: nn.Module) -> None:
    for name, child in module.named_modules():
        if isinstance(child, nn.SyncBatchNorm):
            raise JobError(
                "SyncBatchNorm talks to the other workers inside forward, which ties the model to their number",
                where=f"module {name}",
                help="use BatchNorm: its statistics are those of a micro-batch, the same at any worker count",
            )


def _require_trainable(mean: Tensor, name: str) -> None:
    if not mean.requires_grad:
        raise JobError(
            "the loss does not depend on any trained parameter",
            where=f"the loss of phase {name}",
            help="is everything frozen, or is the loss detached (.item(), no_grad, argmax)?",
        )


def _refuse_replaced_buffers(module: nn.Module, before: dict[str, tuple[Tensor, Tensor]]) -> None:
    now = dict(module.named_buffers())
    for name, (buffer, old) in before.items():
        owner, _, key = name.rpartition(".")
        where = f"module {owner or '(the model itself)'}"
        if now.get(name) is not buffer:
            raise JobError(
                f"forward replaces the buffer {name} by another tensor",
                where=where,
                help=f"write into it: self.{key}.copy_(...)",
            )
        if buffer.dtype in (torch.bool, torch.complex64, torch.complex128) and not torch.equal(buffer, old):
            raise JobError(
                f"forward changes the buffer {name} of dtype {buffer.dtype}, whose changes cannot be averaged",
                where=where,
                help="keep what moves in a floating or integer buffer",
            )


def _refuse_sparse(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.grad is not None and parameter.grad.is_sparse:
            raise JobError(
                "sparse gradients are not supported",
                where=f"parameter {name}",
                help="make the embedding with sparse=False",
            )


@torch.no_grad()
def _is_additive(module: nn.Module, loss: LossFunction, batch: Batch, precision: Precision, mode: str) -> bool:
    """Whether loss(batch) is the weighted mean of the losses of two parts. A mean that cancels counts as coupled: that
    costs only merging."""
    if batch.rows < 2:
        return True
    middle = max(1, batch.rows // 3)
    training = {m: m.training for m in module.modules()}
    module.train(mode == "train")
    try:
        with _untouched(module), precision.autocast():
            state = torch.get_rng_state()
            values = []
            for part in (batch, batch.slice(0, middle), batch.slice(middle, batch.rows)):
                torch.set_rng_state(state)
                mean, weight, _ = Loss.parts(loss(part), rows=part.rows)
                values.append((float(mean), float(weight)))
    finally:
        for child, was in training.items():
            child.training = was
    (whole, total), (left, w_left), (right, w_right) = values
    expected = (left * w_left + right * w_right) / (w_left + w_right) if w_left + w_right else whole
    tolerance = 1e-4 if precision.name in ("fp32", "fp64") else 3e-2
    size = max(abs(whole), abs(left), abs(right))
    return math.isclose(total, w_left + w_right, rel_tol=1e-6) and abs(whole - expected) <= tolerance * size


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """Restores buffers, gradients and torch's random state afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices), keeping_buffers(module):
        try:
            yield
        finally:
            for parameter in module.parameters():
                parameter.grad = None
