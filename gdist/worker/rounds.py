"""Work of unequal shares that workers do side by side: a while each on its own, then all of them agree whether to go on.

So nobody waits for a peer longer than a round and the batch that it ends with, a wish to stop acts on all at one place, and a
lost worker is noticed by the others at the next round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import torch

from gdist.engine.collective import Collective
from gdist.records import WISHES, Wishes

ROUND_S = 0.5
CHANGE_ROUND_S = 0.1  # a change of members waits so long for an evaluation, and no longer
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


def until_change(
    work: Generator[int, None, None],
    collective: Collective,
    *,
    wanted: Callable[[], int],
    drains: Callable[[], bool],
    device: torch.device,
) -> int | None:
    """Advances this worker's ``work`` until every worker's is done, and returns None; or until all want to enter the same
    generation (``wanted``: its number, 0 for none), and returns that; or until one ``drains``, and returns 0. Raises what the
    work raises, and PeerLost."""
    works = True
    with closing(work):
        while True:
            until = time.monotonic() + CHANGE_ROUND_S
            while works and time.monotonic() < until:
                works = next(work, None) is not None
            said = torch.zeros(2 + collective.size, dtype=torch.float64, device=device)
            said[0], said[1], said[2 + collective.rank] = works, drains(), wanted()
            collective.all_reduce(said).wait()
            at_work, leaves, *generations = (int(each) for each in said.tolist())
            if not at_work:
                return None
            if len({*generations}) == 1 and generations[0]:
                return generations[0]
            if leaves:
                return 0
