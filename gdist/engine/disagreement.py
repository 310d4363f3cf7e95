"""The errors of workers that do not agree: who is at another place, whose weights are other bits, which names differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gdist.errors import JobError, ReplicasDiffer

_IN_WORDS = {"generation": "generation", "step": "step", "phase": "phase of the step", "plan": "plan of the run"}


def at_another_place(
    rows: Sequence[Sequence[float]], expected: Mapping[str, int], *, rank: int, step: int, slots: Sequence[int]
) -> ReplicasDiffer:
    """``rows``: by rank, what each says first, in the order of ``expected``, which is what ``rank`` says; ``slots``: the
    workers' numbers by rank."""
    who, what, found, wanted = next(
        (who, what, found, wanted)
        for who, row in enumerate(rows)
        for (what, wanted), found in zip(expected.items(), row, strict=False)
        if found != wanted
    )
    place = _IN_WORDS.get(what, "place")
    return ReplicasDiffer(
        f"worker {slots[who]} is at another {place} than worker {slots[rank]}: {found:.0f}, not {wanted}",
        where=f"step {step}",
        help="all workers must run the same job, code and data; nothing of this step was applied",
    )


def other_weights(hashes: np.ndarray, *, step: int, slots: Sequence[int]) -> ReplicasDiffer:
    """``hashes``: of shape [workers, 2]. Names those whose bits are not the most common ones."""
    kinds, counts = np.unique(hashes, axis=0, return_counts=True)
    common = kinds[counts.argmax()]
    odd = [slots[r] for r in range(len(hashes)) if not np.array_equal(hashes[r], common)]
    who = f"worker {', '.join(map(str, odd))}" if counts.max() > 1 else f"workers {', '.join(map(str, slots))}"
    return ReplicasDiffer(
        f"the weights of {who} are not the same bits as the others'",
        where=f"found at step {step}",
        note="a changed bit in memory, or code that changes weights on one worker only",
        help="go on from the last checkpoint with gdist resume",
    )


def other_names(here: Sequence[str]) -> JobError:
    return JobError(
        "the loss logs different names on different micro-batches",
        where=f"Loss(log=...): here {', '.join(here) or 'none'}",
        help="log the same names for every micro-batch",
    )
