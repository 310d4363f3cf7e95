"""Into how many micro-batches a global batch is cut, when the job does not say: a function of the job alone.

Where passes may merge, the number costs nothing and should divide by many worker counts (24 = 2 * 2 * 2 * 3). Where they
may not (batch norm, exact), each micro-batch is a pass of its own and keeps at least 8 samples.
"""

from __future__ import annotations

COUNTS = (24, 16, 12, 8, 6, 4, 3, 2, 1)
SMALLEST_UNMERGED = 8  # samples


def default_micro_batches(batch_size: int, mergeable: bool) -> int:
    """``batch_size``: samples of a global batch, at least 1; ``mergeable``: whether a pass may hold several micro-batches.

    >>> default_micro_batches(64, True), default_micro_batches(64, False), default_micro_batches(1, True)
    (24, 8, 1)
    """
    if mergeable:
        return next(count for count in COUNTS if count <= max(1, batch_size))
    return next((count for count in COUNTS if batch_size // count >= SMALLEST_UNMERGED), 1)


def explain_accumulate(accumulate: int, batch_size: int | str) -> str:
    """What ``accumulate=N`` became, for the event and the display."""
    share = f" of about {max(1, batch_size // accumulate)}" if isinstance(batch_size, int) else ""
    return (
        f"accumulate={accumulate} was understood as micro_batches={accumulate}: the batch of {batch_size} samples is cut into "
        f"{accumulate} micro-batches{share}; batch_size counts all of them, whoever computes them"
    )
