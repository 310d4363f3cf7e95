"""Gradients summed along one fixed tree over the micro-batches: the same bits at any number of workers.

Every micro-batch's gradient is computed alone, into a vector of its own; ``tree.py`` adds the vectors. Used as ``Gradients``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gdist.engine.backward import backward
from gdist.engine.collective import Collective
from gdist.engine.flat import FlatParameters, Layout
from gdist.engine.gradients import FlatGradients
from gdist.engine.tree import TreeSum


class ExactGradients:
    """The tree's leaves are the step's micro-batches, one pass each; a leaf is [gradients | moving buffers' changes]."""

    def __init__(
        self,
        parameters: FlatParameters,
        collective: Collective,
        *,
        extra: Layout,
        control: int,
        only: Sequence[nn.Parameter] | None = None,
    ) -> None:
        self.storage = FlatGradients(parameters, extra=extra, control=control)
        self._parameters = parameters
        self._collective = collective
        self._only = only
        self._split = parameters.layout.elements
        self._summed = self._split + extra.elements
        like = self.storage.flat
        self._tree = TreeSum(collective, elements=self._summed, dtype=like.dtype, device=like.device)
        self._views: dict[int, list[Tensor]] = {}
        self._filled = [False] * len(parameters.parameters)
        self._leaf: Tensor | None = None

    @property
    def has_gradient(self) -> list[bool]:
        return self._filled

    def open(self, parts: int) -> None:
        self._tree.open(parts)
        self._filled = [False] * len(self._filled)
        self._leaf = None

    def extra(self, part: int) -> Tensor:
        self._leaf = self._tree.vector()
        return self._leaf[self._split :].zero_()

    def add(self, mean: Tensor, coefficient: Tensor, *, part: int, last: bool) -> None:
        backward(mean, coefficient, only=self._only)
        leaf, self._leaf = self._leaf, None
        assert leaf is not None, "extra() makes the leaf that add() fills"
        into: list[Tensor] = []
        grads: list[Tensor] = []
        for i, (parameter, view) in enumerate(zip(self._parameters.parameters, self._views_of(leaf), strict=True)):
            if parameter.grad is None:
                view.zero_()
                continue
            into.append(view)
            grads.append(parameter.grad)
            parameter.grad = None
            self._filled[i] = True
        torch._foreach_copy_(into, grads)
        self._tree.insert(part, leaf)

    def skip(self, part: int) -> None:
        self._tree.insert(part, self._tree.vector().zero_())

    def reduce(self) -> None:
        controls = self._collective.all_reduce(self.storage.control)
        self._tree.reduce(self.storage.flat[: self._summed])
        controls.wait()

    def close(self) -> None:
        pass

    def _views_of(self, leaf: Tensor) -> list[Tensor]:
        """Made once for each vector: slicing costs more than copying into a small model's views."""
        if leaf.data_ptr() not in self._views:
            self._views[leaf.data_ptr()] = self._parameters.layout.views(leaf)
        return self._views[leaf.data_ptr()]
