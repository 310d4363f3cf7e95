"""An exponential moving average of the weights (Polyak and Juditsky 1992): a <- d a + (1 - d) w after every update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class EMA:
    """``weights``: live tensors by name; ``decay`` d in (0, 1). The average begins at the weights as they are."""

    def __init__(self, weights: Mapping[str, Tensor], *, decay: float) -> None:
        self._names = list(weights)
        self._live = [weights[name].detach() for name in self._names]
        self._average = [w.clone() for w in self._live]
        self._decay = decay

    @torch.no_grad()
    def update(self) -> None:
        """Follows the weights by one step."""
        torch._foreach_lerp_(self._average, self._live, 1 - self._decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the weights and their average, in place."""
        for live, average in zip(self._live, self._average, strict=True):
            kept = live.clone()
            live.copy_(average)
            average.copy_(kept)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within it the module's weights are the average."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state(self) -> dict[str, Tensor]:
        return dict(zip(self._names, self._average, strict=True))

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        for name, average in zip(self._names, self._average, strict=True):
            average.copy_(state[name])
