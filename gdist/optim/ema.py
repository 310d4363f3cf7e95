"""An exponential moving average of the weights: ``average = decay * average + (1 - decay) * weight`` after every step
(Polyak & Juditsky 1992). Evaluation may look through it; training never does.

Invariant: outside ``swapped_in()`` the model holds the trained weights, inside it the averages, in the same memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class EMA:
    """Averages of named floating-point tensors, usually the flat buckets or a module's parameters; others are left alone.

    ``decay``: share of the average that is kept each step, in (0, 1); it remembers about 1 / (1 - decay) steps.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, decay: float) -> None:
        self.decay = decay
        self._live = {name: tensor.detach() for name, tensor in tensors.items() if tensor.is_floating_point()}
        self._averages = {name: tensor.clone() for name, tensor in self._live.items()}
        self._inside = False

    def update(self) -> None:
        """Moves the averages towards the weights; called after each applied step, never after a skipped one."""
        import torch

        if self._averages:
            with torch.no_grad():
                torch._foreach_lerp_(list(self._averages.values()), list(self._live.values()), 1.0 - self.decay)

    def swap(self) -> None:
        """Exchanges weights and averages in place; a second call exchanges them back."""
        import torch

        with torch.no_grad():
            for name, live in self._live.items():
                kept = live.clone()
                live.copy_(self._averages[name])
                self._averages[name].copy_(kept)
        self._inside = not self._inside

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The model with averaged weights, for the length of a ``with``."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def restart(self) -> None:
        """The averages begin again, at the weights as they are."""
        import torch

        with torch.no_grad():
            for name, live in self._live.items():
                self._averages[name].copy_(live)

    def state(self) -> dict[str, Tensor]:
        """The averages by name, for a checkpoint: the tensors themselves, not copies."""
        assert not self._inside, "inside swapped_in() the averages are in the model"
        return dict(self._averages)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes back what ``state`` gave; the names and shapes must be the same."""
        assert state.keys() == self._averages.keys(), "averages of another model"
        for name, average in self._averages.items():
            average.copy_(state[name])
