"""What workers tell one another in every step, beside the gradients and in the same message.

A vector of numbers in which each worker fills its own places and leaves zeros in the others', so that the sum over the
workers gathers them: one row a worker (who it is, which step and plan it follows, its wishes), one row a micro-batch (its
loss, its weight, what its pass read, the user's own scalars), one place a parameter (how many workers have a gradient for
it). Each number travels as two of the gradient's dtype (high and low part): 48 bits survive float32, so that integers up to
2**48 arrive as they are and a loss keeps its last digits.
"""

from __future__ import annotations

import functools
import math
import operator
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdist.engine.disagreement import at_another_place, other_names, other_weights
from gdist.engine.plan import Cut, Pass
from gdist.errors import JobError

MAX_LOGGED = 16  # user scalars a step
_ROW = ("present", "generation", "step", "phase", "plan", "names", "hash_high", "hash_low", "wishes", "compute_s", "next")
_READ = slice(2, 8)  # what a pass read, behind its mean and its weight: positions, stamp (upper, lower bits), rows used, bad
_STOP = 3  # one past a pass's last position: where it is not 0 a pass begins
_LOG = 8  # from here on: the user's scalars
_LIMB = 32  # bits of a stamp in each of its two places
_TAME = 1e38  # numbers of the user's below it need no care: float32 can hold them


@dataclass(frozen=True)
class Report:
    """What all workers of a step said together; the same on each of them.

    ``loss``: the weighted mean over the step's micro-batches, summed in their order; ``weight``: the sum of their weights;
    ``has_gradient``: one flag a parameter; ``next``: the next generation's number if all of them know the same, else 0;
    ``compute_s``: by worker, seconds of its own forward and backward; ``reads``: what
    the passes read, float64 of shape [passes, 6]: first position, one past the last, the upper and the lower 32 bits of the
    rows' stamp, rows used, rows left out.
    """

    loss: float
    weight: float
    log: dict[str, float]
    has_gradient: np.ndarray
    wishes: int
    next: int
    compute_s: tuple[float, ...]
    non_finite: tuple[int, ...]  # micro-batches whose loss is not finite
    reads: np.ndarray


class Control:
    """The control vector of one generation: ``elements`` long, filled between ``open`` and ``encode``, read by ``decode``."""

    def __init__(
        self,
        *,
        rank: int,
        size: int,
        micro_batches: int,
        parameters: int,
        generation: int = 1,
        plan: int = 0,
        slots: Sequence[int] = (),
    ) -> None:
        """``slots``: the workers' numbers by rank, as errors name them."""
        self._slots = slots or range(size)
        self._rank, self._size, self._generation, self._plan = rank, size, generation, plan
        rows, leaves = size * len(_ROW), micro_batches * (_LOG + MAX_LOGGED)
        self._values = np.zeros(rows + leaves + parameters)
        self._rows = self._values[:rows].reshape(size, len(_ROW))
        self._leaves = self._values[rows : rows + leaves].reshape(micro_batches, _LOG + MAX_LOGGED)
        self._used = self._values[rows + leaves :]
        self._names: tuple[str, ...] | None = None  # of this step's passes; None before the first
        self._last_names: tuple[str, ...] = ()  # for a worker without a pass in a short step
        self.decoded = False  # of this step: what follows may have changed the weights
        self._pending: list[tuple[int, Tensor, Tensor | float]] = []
        self.elements = 2 * len(self._values)
        self._outgoing = torch.empty(0)
        self._halves = np.empty(0)

    def open(
        self, cut: Cut, *, phase: int = 0, wishes: int = 0, weights_hash: int | None = None, next_generation: int = 0
    ) -> None:
        """Begins a step: writes this worker's row. ``next_generation``: the one it is ready to leave for, or 0."""
        self._values[:] = 0
        self._names = None
        self.decoded = False
        self._tame = True  # none of the numbers is infinite, nan or too large for float32
        self._pending.clear()
        self._cut, self._phase = cut, phase
        high, low = divmod(weights_hash, 1 << 32) if weights_hash is not None else (0, 0)
        self._rows[self._rank] = (1, self._generation, cut.step, phase, self._plan, 0, high, low, wishes, 0, next_generation)

    def read(self, share: Pass, *, stamp: int, used: int, bad: int) -> None:
        """Notes what was read for a pass at the place of its first micro-batch. Each pass, with rows or without, begins so."""
        low = stamp & ((1 << _LIMB) - 1)
        self._leaves[share.first, _READ] = (share.start, share.stop, stamp >> _LIMB, low, used, bad)

    def note(self, share: Pass, *, mean: Tensor, weight: Tensor | float, log: dict[str, Tensor | float]) -> None:
        """Notes one pass at the place of its first micro-batch; the numbers are read from the device when encoded."""
        names = tuple(sorted(log))
        if len(names) > MAX_LOGGED:
            raise JobError(
                f"the loss logs {len(names)} scalars, at most {MAX_LOGGED} travel with a step", where="Loss(log=...)"
            )
        if self._names not in (None, names):
            raise other_names(self._names or ())
        self._names = self._last_names = names
        if names:
            self._rows[self._rank, 5] = zlib.crc32("\0".join(names).encode())
        self._pending.append((share.first, mean.detach(), weight))
        for k, name in enumerate(names):
            value = log[name]
            number = value.item() if isinstance(value, Tensor) else value
            self._leaves[share.first, _LOG + k] = number
            self._tame &= -_TAME < number < _TAME

    def encode(self, out: Tensor, *, has_gradient: Sequence[bool], compute_s: float) -> None:
        """Writes the vector into ``out`` (``elements`` numbers of the gradient's dtype)."""
        for first, mean, weight in self._pending:
            numbers = (mean.item(), weight.item() if isinstance(weight, Tensor) else weight)
            self._leaves[first, :2] = numbers
            self._tame &= all(-_TAME < number < _TAME for number in numbers)
        self._pending.clear()
        self._used[:] = has_gradient
        self._rows[self._rank, 9] = compute_s
        halves = self._halves_like(out)
        if self._tame:
            np.copyto(halves[0], self._values, casting="same_kind")
            np.subtract(self._values, halves[0], out=halves[1], casting="same_kind")
        else:  # inf - inf would turn the low half, and with it the sum, into nan
            with np.errstate(over="ignore"):
                np.copyto(halves[0], self._values, casting="same_kind")
            finite = np.isfinite(halves[0])
            halves[1] = np.where(finite, self._values - np.where(finite, halves[0], 0), 0)
        out.copy_(self._outgoing)

    def decode(self, summed: Tensor) -> Report:
        """Reads the summed vector; raises ReplicasDiffer, naming the worker, where one does not agree."""
        halves = summed.cpu().numpy().reshape(2, -1)
        np.add(halves[0], halves[1], out=self._values, dtype=np.float64)
        rows = self._rows.tolist()
        self._check_rows(rows)
        self.decoded = True
        begins = self._leaves[:, _STOP].nonzero()[0]
        passes = self._leaves.take(begins, axis=0)
        weight = total = 0.0
        non_finite: list[int] = []
        for first, (mean, each) in zip(begins.tolist(), passes[:, :2].tolist(), strict=True):
            if each:  # a pass without weight says nothing, nan included
                weight += each  # in order: the same bits however workers shared the leaves
                total += mean * each
                if not math.isfinite(mean * each):
                    non_finite.append(first)
        return Report(
            loss=total / weight if weight else 0.0,
            weight=weight,
            log=self._logged(passes, weight),
            has_gradient=self._used > 0,
            wishes=functools.reduce(operator.or_, (int(row[8]) for row in rows)),
            next=int(rows[0][10]) if all(row[10] == rows[0][10] for row in rows) else 0,
            compute_s=tuple(row[9] for row in rows),
            non_finite=tuple(non_finite),
            reads=passes[:, _READ],
        )

    def _logged(self, passes: np.ndarray, weight: float) -> dict[str, float]:
        """The user's scalars as means."""
        names = self._last_names if self._names is None else self._names
        if not names:
            return {}
        with np.errstate(invalid="ignore", over="ignore"):
            sums = np.cumsum(passes[:, _LOG:] * passes[:, 1:2], axis=0)[-1] / (weight or np.nan)
        return dict(zip(names, sums.tolist(), strict=False))

    def _halves_like(self, out: Tensor) -> np.ndarray:
        """Memory for both halves, kept from step to step; ``_outgoing`` is the same as one tensor of ``out``'s dtype."""
        if self._outgoing.shape != out.shape or self._outgoing.dtype != out.dtype:
            self._outgoing = torch.empty(self.elements, dtype=out.dtype)
            self._halves = self._outgoing.view(2, -1).numpy()
        return self._halves

    def _check_rows(self, rows: list[list[float]]) -> None:
        expected = [1, self._generation, self._cut.step, self._phase, self._plan]
        if any(row[:5] != expected for row in rows):
            said = dict(zip(_ROW[:5], expected, strict=True))
            raise at_another_place(rows, said, rank=self._rank, step=self._cut.step, slots=self._slots)
        if self._names and any(row[5] not in (0, rows[self._rank][5]) for row in rows):
            raise other_names(self._names)
        if any(row[6:8] != rows[0][6:8] for row in rows):
            raise other_weights(self._rows[:, 6:8], step=self._cut.step, slots=self._slots)
