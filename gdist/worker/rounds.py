"""Work of unequal shares that workers do side by side: a while each on its own, then all of them agree whether to go on.

So nobody waits for a peer longer than a round and the batch that it ends with, a wish to stop acts on all at one place, and a
lost worker is noticed by the others at the next round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from gdist.engine.collective import Collective
from gdist.records import WISHES, Wishes

ROUND_S = 0.5
_ENDS = ("stop", "drain", "finish")


def in_rounds(
    work: Iterator[int], collective: Collective, *, wishes: Wishes, tell: Callable[[int], None], device: torch.device
) -> str | None:
    """Advances this worker's ``work``, which yields how many rows each piece was, until every worker's is done. ``tell``
    hears after each round how many rows all have done. Returns None, or why all of them stopped before.

    Raises what the work raises, and PeerLost."""
    rows, works = 0, True
    while True:
        until = time.monotonic() + ROUND_S
        while works and time.monotonic() < until:
            piece = next(work, None)
            works = piece is not None
            rows += piece or 0
        bits = wishes.bits()
        asked = next((wish for i, wish in enumerate(WISHES) if wish in _ENDS and bits >> i & 1), None)
        state = torch.tensor([rows, works, asked is not None], dtype=torch.float64, device=device)
        collective.all_reduce(state).wait()
        done, at_work, stop = (int(each) for each in state.tolist())
        tell(done)
        if not at_work:
            return None
        if stop:
            return (wishes.reason(asked) if asked else "") or "asked to stop"
