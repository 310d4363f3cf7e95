"""A step of several updates commits once: what to return to where a later update of the step cannot be made.

A step with one update needs none of this, since nothing changes before its last collective has returned.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gdist.engine.replica import Replica


class Transaction:
    """Keeps a copy of a replica's state from one boundary to the next. Costs one copy of the state a step."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._copies: dict[tuple[str, str], Tensor] = {}

    @contextmanager
    def open(self) -> Iterator[Callable[[], None]]:
        """Yields what sets everything back to the beginning; an exception does so, and goes on."""
        files, state = self._replica.save()
        saved = {f: {n: self._copy((f, n), t) for n, t in tensors.items()} for f, tensors in files.items()}
        state = copy.deepcopy(state)

        def take_back() -> None:
            for optimizer in self._replica.optimizers.values():
                optimizer.state.clear()
            self._replica.load(saved, state)

        try:
            yield take_back
        except BaseException:
            take_back()
            raise

    @torch.no_grad()
    def _copy(self, key: tuple[str, str], tensor: Tensor) -> Tensor:
        kept = self._copies.get(key)
        if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
            kept = self._copies[key] = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        return kept.copy_(tensor)
