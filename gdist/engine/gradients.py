"""Where a step's gradients gather: summed over passes and workers in one flat tensor, with the control vector behind them.

    [ gradients, in backward order, cut into buckets | moving buffers' changes | control ]

Two ways to sum, chosen when the engine is built: ``Gradients`` here (in the order that is fastest; buckets leave while
backward still computes the earlier layers), ``ExactGradients`` in ``exact.py`` (along one fixed tree). Both are used as
``open``, then ``add`` for each pass, then ``reduce`` once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gdist.engine.backward import backward
from gdist.engine.collective import Collective, Pending
from gdist.engine.flat import FlatParameters, Layout, aligned
from gdist.errors import JobError

BUCKET_BYTES = 16 << 20


class FlatGradients:
    """The flat tensor and its parts: ``views[i]`` the gradient of parameter i (in the flat order), ``gradients`` all of them
    as one tensor, ``extra`` the places of the moving buffers, ``control``."""

    def __init__(self, parameters: FlatParameters, *, extra: Layout, control: int) -> None:
        like = parameters.data
        ends = parameters.layout.elements, parameters.layout.elements + extra.elements
        self.flat = torch.zeros(ends[1] + aligned(control), dtype=like.dtype, device=like.device)
        self.gradients = self.flat[: ends[0]]
        self.extra = self.flat[ends[0] : ends[1]]
        self.control = self.flat[ends[1] : ends[1] + control]
        self.views = parameters.layout.views(self.gradients)


class Gradients:
    """Sums gradients in place, bucket by bucket. A bucket is complete when backward of the last pass has reached its last
    parameter; complete buckets are reduced in their fixed order, never in the order of arrival."""

    def __init__(
        self,
        parameters: FlatParameters,
        collective: Collective,
        *,
        extra: Layout,
        control: int,
        only: Sequence[nn.Parameter] | None = None,
        bucket_bytes: int = BUCKET_BYTES,
    ) -> None:
        self.storage = FlatGradients(parameters, extra=extra, control=control)
        self._parameters = parameters
        self._collective = collective
        self._only = only  # parameters of this phase, where the task has several
        self._buckets = _cut_buckets(parameters, bucket_bytes // self.storage.flat.element_size())
        self._bucket_of = {i: b for b, (first, stop) in enumerate(self._buckets) for i in range(first, stop)}
        self._filled = [False] * len(parameters.parameters)
        self._overlap = collective.overlaps and len(self._buckets) > 1
        self._last_pass = False
        self._missing: list[int] = []
        self._pending: list[Pending] = []
        self._launched = 0
        self._hooks: list[Any] = []
        if self._overlap:
            for i, parameter in enumerate(parameters.parameters):
                hook = parameter.register_post_accumulate_grad_hook(self._arrived(i))  # type: ignore[no-untyped-call]
                self._hooks.append(hook)

    @property
    def has_gradient(self) -> list[bool]:
        """Which parameters have received a gradient on this worker in this step."""
        return self._filled

    def open(self, parts: int) -> None:
        """Begins a step of ``parts`` micro-batches."""
        self._filled = [False] * len(self._filled)
        self._pending.clear()
        self._launched = 0
        self.storage.extra.zero_()

    def add(self, mean: Tensor, coefficient: Tensor, *, part: int, last: bool) -> None:
        """Backward of ``coefficient * mean``, added to the sums; ``part``: the pass's first micro-batch; ``last``: no pass of
        this worker follows in this step."""
        if self._overlap and last:
            self._missing = [stop - first for first, stop in self._buckets]
            self._last_pass = True
        backward(mean, coefficient, only=self._only)
        self._last_pass = False
        for bucket in range(self._launched, len(self._buckets)):
            self._collect(bucket)

    def skip(self, part: int) -> None:
        """In place of ``extra`` and ``add``, for a pass without rows."""

    def extra(self, part: int) -> Tensor:
        """Where the changes of the moving buffers are added, for the pass that begins at micro-batch ``part``."""
        return self.storage.extra

    def reduce(self) -> None:
        """Sums over the workers what has not left yet; afterwards every part of ``storage`` holds the step's sums."""
        for bucket in range(self._launched, len(self._buckets)):
            self._launch(bucket)
        for pending in self._pending:
            pending.wait()

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _arrived(self, index: int) -> Any:
        bucket = self._bucket_of[index]

        def hook(parameter: Tensor) -> None:
            if not self._last_pass:
                return
            if bucket < self._launched:
                raise JobError(
                    f"parameter {self._parameters.names[index]} received its gradient in two parts in one backward",
                    help="reentrant activation checkpointing does this: use recompute= of the job, or use_reentrant=False",
                )
            self._missing[bucket] -= 1
            while self._launched < len(self._buckets) - 1 and self._missing[self._launched] == 0:
                self._collect(self._launched)
                self._launch(self._launched)

        return hook

    def _collect(self, bucket: int) -> None:
        """Moves the gradients that autograd has left in ``.grad`` into the bucket."""
        copied: tuple[list[Tensor], list[Tensor]] = ([], [])
        added: tuple[list[Tensor], list[Tensor]] = ([], [])
        parameters, views = self._parameters.parameters, self.storage.views
        for i in range(*self._buckets[bucket]):
            grad = parameters[i].grad
            if grad is None:
                continue
            into = added if self._filled[i] else copied
            into[0].append(views[i])
            into[1].append(grad)
            self._filled[i] = True
            parameters[i].grad = None  # so that autograd hands over its next tensor instead of adding to this one
        if copied[0]:
            torch._foreach_copy_(copied[0], copied[1])
        if added[0]:
            torch._foreach_add_(added[0], added[1])

    def _launch(self, bucket: int) -> None:
        first, stop = self._buckets[bucket]
        for i in range(first, stop):
            if not self._filled[i]:
                self.storage.views[i].zero_()
        offsets = self._parameters.layout.offsets
        begin = offsets[first]
        last = bucket == len(self._buckets) - 1
        end = self.storage.flat.numel() if last else offsets[stop]
        self._pending.append(self._collective.all_reduce(self.storage.flat[begin:end]))
        self._launched += 1


def _cut_buckets(parameters: FlatParameters, most: int) -> list[tuple[int, int]]:
    """Runs of parameters of at most ``most`` elements (a larger parameter is alone): [first, stop) each."""
    buckets: list[tuple[int, int]] = []
    first, held = 0, 0
    for i, shape in enumerate(parameters.layout.shapes):
        size = aligned(shape.numel())
        if held and held + size > most:
            buckets.append((first, i))
            first, held = i, 0
        held += size
    return [*buckets, (first, len(parameters.layout.shapes))]
