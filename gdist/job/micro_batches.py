"""The number of micro-batches a job has if it does not say: a function of the job alone, never of the workers."""

from __future__ import annotations

CHOICES = (24, 16, 12, 8, 6, 4, 3, 2, 1)  # many divisors first: 24 is shared evenly by 1, 2, 3, 4, 6, 8, 12 and 24 workers
LEAST_ROWS = 8  # samples of a micro-batch that is a pass of its own: batch norm needs some, and small passes are slow


def default_micro_batches(batch_size: int, *, mergeable: bool) -> int:
    """``mergeable``: whether passes may be merged, so that small micro-batches cost nothing."""
    for count in CHOICES:
        if count <= batch_size if mergeable else batch_size // count >= LEAST_ROWS:
            return count
    return 1
