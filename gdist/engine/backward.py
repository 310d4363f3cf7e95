"""Backward of a loss with a given coefficient: what ``torch.autograd.backward(mean, coefficient)`` does, without its checks.

Those compare shapes that are scalars here, by functions of the compiler's: 37 us a pass, and 0.4 s of a worker's start, because
the first pass imports sympy for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.autograd import Variable

_ENGINE: Any = Variable._execution_engine


def backward(mean: Tensor, coefficient: Tensor, *, only: Sequence[Tensor] | None) -> None:
    """Accumulates the gradient of ``coefficient * mean`` (both scalars of one dtype) into ``only`` (None: into every leaf)."""
    keep_graph, of_higher_order = False, False
    inputs = tuple(only) if only is not None else ()
    _ENGINE.run_backward(
        (mean,), (coefficient,), keep_graph, of_higher_order, inputs, allow_unreachable=True, accumulate_grad=True
    )
