"""Moving buffers (running means of batch norm and their like): part of the step, so that no pass sees another's.

Each pass starts from the step's buffers; what it did to them is added over the micro-batches with the gradient, by the same
weights, and the weighted mean of the changes is applied when the step commits. For batch norm's running mean this equals
``(1 - m) * old + m * (weighted mean of the micro-batches' means)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gdist.engine.flat import Layout


@contextmanager
def keeping_buffers(module: nn.Module) -> Iterator[None]:
    """Within it buffers may move; afterwards they are what, and where, they were."""
    kept = [(m, key, b, b.clone()) for m in module.modules() for key, b in m._buffers.items() if b is not None]
    try:
        yield
    finally:
        with torch.no_grad():
            for owner, key, buffer, old in kept:
                buffer.copy_(old)
                owner._buffers[key] = buffer


class MovingBuffers:
    """The buffers of ``module`` called ``names``. ``layout`` is their place in the flat gradient's extra part."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        known = dict(module.named_buffers())
        self._buffers = [known[name] for name in names]
        self._base = [b.clone() for b in self._buffers]
        self.layout = Layout.of(self._buffers)

    def open(self) -> None:
        """Begins a step: remembers what the buffers are."""
        if self._buffers:
            torch._foreach_copy_(self._base, self._buffers)

    def rewind(self) -> None:
        """Sets the buffers back to the step's."""
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._base)

    @torch.no_grad()
    def collect(self, extra: Tensor, coefficient: Tensor) -> None:
        """Adds ``coefficient`` times what the pass's forward changed to ``extra``."""
        for view, buffer, base in zip(self.layout.views(extra), self._buffers, self._base, strict=True):
            view.add_((buffer - base).to(view.dtype) * coefficient)

    @torch.no_grad()
    def commit(self, extra: Tensor, factor: float) -> None:
        """Applies the mean change: ``factor * extra`` on top of the step's buffers (rounded for integer ones)."""
        for view, buffer, base in zip(self.layout.views(extra), self._buffers, self._base, strict=True):
            change = view * factor
            buffer.copy_(base + (change if buffer.is_floating_point() else change.round().to(buffer.dtype)))
