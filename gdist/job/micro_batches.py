"""Into how many micro-batches a global batch is cut, when the job does not say: a function of the job alone.

Where passes may merge, the number costs nothing and should divide by many worker counts (24 = 2 * 2 * 2 * 3). Where they
may not (batch norm, exact), each micro-batch is a pass of its own: it keeps 16 samples where that leaves at least 4 parts
(small passes are slow), else 8.
"""

from __future__ import annotations

COUNTS = (24, 16, 12, 8, 6, 4, 3, 2, 1)
ROOMY, SMALLEST = 16, 8  # samples of a micro-batch that is a pass of its own
ENOUGH = 4  # parts, for which 16 samples each are preferred to more parts of 8


def default_micro_batches(batch_size: int, mergeable: bool) -> int:
    """``batch_size``: samples of a global batch, at least 1; ``mergeable``: whether a pass may hold several micro-batches.

    >>> default_micro_batches(64, True), default_micro_batches(64, False), default_micro_batches(1, True)
    (24, 4, 1)
    """
    if mergeable:
        return next(count for count in COUNTS if count <= max(1, batch_size))
    roomy, most = (next((c for c in COUNTS if batch_size // c >= least), 1) for least in (ROOMY, SMALLEST))
    return roomy if roomy >= ENOUGH else most


def explain_accumulate(accumulate: int, batch_size: int | str) -> str:
    """What ``accumulate=N`` became, for the event and the display."""
    share = f" of about {max(1, batch_size // accumulate)}" if isinstance(batch_size, int) else ""
    return (
        f"accumulate={accumulate} was understood as micro_batches={accumulate}: the batch of {batch_size} samples is cut into "
        f"{accumulate} micro-batches{share}; batch_size counts all of them, whoever computes them"
    )
