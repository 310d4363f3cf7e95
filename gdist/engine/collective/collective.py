"""The seam between the engine and whatever carries its bytes. One object lives as long as one generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

DEADLINE_S = 300.0  # of a wait for a peer, where nothing else is said


class Pending(Protocol):
    """A transfer under way."""

    def wait(self) -> None:
        """Returns once the tensors may be used again; raises PeerLost where a worker is gone or too late."""


class Collective(Protocol):
    """What the workers of one generation do together, every one in the same order.

    All calls raise ``gdist.errors.PeerLost`` once any worker of the generation is gone: the generation is then over.
    """

    rank: int
    size: int
    slots: Sequence[int]  # the workers' numbers by rank, as users know them: errors name these
    overlaps: bool  # whether what is started goes on while this thread computes

    def all_reduce(self, tensor: Tensor) -> Pending:
        """Starts to sum ``tensor`` (contiguous) over the workers, in place; the same bits on every worker."""

    def exchange(self, outgoing: Sequence[Tensor | None], incoming: Sequence[Tensor | None]) -> Pending:
        """Starts to send ``outgoing[r]`` to worker r and to receive ``incoming[r]`` from it, for each r but this one;
        None where there is nothing to move. Contiguous tensors; no arithmetic."""

    def broadcast(self, tensor: Tensor, *, source: int) -> Pending:
        """Starts to copy ``tensor`` of worker ``source`` to all."""

    def close(self) -> None:
        """Ends the generation for this worker; peers that still wait for it are freed. Idempotent."""
