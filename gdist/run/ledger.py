"""``ledger.jsonl``: what the passes of each committed step read; ``gdist audit`` proves from it that every sample was used.

    {"generation": 1, "samples": 1437, "batch_size": 64, "data": "9f2c..."}                   where a generation begins
    {"generation": 1, "epoch": 1, "spans": [[1, 0, 32, 9317...], [1, 32, 64, 1250...], ...]}  several steps of an epoch

A span is [step, first position, one past the last, stamp], or six numbers with the rows used and the rows left out as bad
where a pass of the line did not use all rows of its span. ``stamp``: the sum of the identities of the rows as read, modulo
2**64. ``unapplied``: steps that changed nothing (not finite, or without weight). Steps and epochs count from 1.

A run that went back writes steps again, in a higher generation; what lower ones wrote past that point was rolled back. A line
that is ``repeated`` comes from another worker than the one that led, which may have died before it had said all: it counts
where the steps have no other. A task with several phases loads the same positions in each: they stand here once a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gdist.errors import RunFailed
from gdist.run.lines import read_lines

if TYPE_CHECKING:
    import numpy as np

STEP, START, STOP, STAMP, USED, BAD = range(6)  # columns of ``Ledger.spans``
_SHORT = 4  # numbers of a span whose rows were all used
_LIMB = 32  # bits of a stamp in each of the two numbers in which it travelled


# A committed step: step and epoch (from 1), whether weights moved, what its passes read (``reads`` of engine.control.Report).
# A bare tuple: it is made in every step.
Entry = tuple[int, int, bool, "np.ndarray"]


def to_lines(entries: Sequence[Entry], *, generation: int, repeated: bool = False) -> Iterator[dict[str, Any]]:
    """A line for each epoch of ``entries``, which are in the order of steps. About a microsecond a step."""
    for epoch, group in groupby(entries, lambda entry: entry[1]):
        steps = list(group)
        line = {"generation": generation, "epoch": epoch, "spans": _spans(steps)}
        if unapplied := [step for step, _, applied, _ in steps if not applied]:
            line["unapplied"] = unapplied
        yield line | {"repeated": True} if repeated else line


def _spans(entries: Sequence[Entry]) -> list[list[int]]:
    import numpy as np

    start, stop, high, low, used, bad = np.concatenate([reads for *_, reads in entries]).astype(np.uint64).T
    step = np.repeat(np.array([entry[0] for entry in entries], dtype=np.uint64), [len(entry[3]) for entry in entries])
    columns = [step, start, stop, (high << np.uint64(_LIMB)) | low]
    if bad.any() or (used != stop - start).any():
        columns += [used, bad]
    spans: list[list[int]] = np.stack(columns, axis=1).tolist()
    return spans


@dataclass(frozen=True)
class Ledger:
    """The spans that count and those that were rolled back: by epoch, uint64 of shape [spans, 6] in the order of steps.

    ``unapplied``: steps that count and changed nothing; ``generations``: by number, what their first line says.
    """

    spans: dict[int, np.ndarray]
    rolled_back: dict[int, np.ndarray]
    unapplied: frozenset[int]
    generations: dict[int, dict[str, Any]]

    @property
    def last_step(self) -> int:
        """0 if there is none."""
        return max((int(spans[:, STEP].max()) for spans in self.spans.values() if len(spans)), default=0)


def read_ledger(path: Path) -> Ledger:
    """Raises RunFailed for a line that no run writes."""
    told: list[_Told] = []
    generations: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(read_lines(path), 1):
        if "spans" not in line:
            generations[int(line.get("generation", 0))] = line
            continue
        told.append(_parsed(line, where=f"{path}, line {number}"))
    counts = _that_count(told)
    by_epoch: dict[int, list[np.ndarray]] = {}
    back: dict[int, list[np.ndarray]] = {}
    unapplied: set[int] = set()
    for each, kept in zip(told, counts, strict=True):
        by_epoch.setdefault(each.epoch, []).append(each.spans[kept])
        unapplied |= each.unapplied & set(each.spans[kept][:, STEP].tolist())
        if not each.repeated:
            back.setdefault(each.epoch, []).append(each.spans[~kept])
    return Ledger(_joined(by_epoch), _joined(back), frozenset(unapplied), generations)


class _Told(NamedTuple):
    generation: int
    epoch: int
    spans: np.ndarray
    unapplied: set[int]
    repeated: bool


def _parsed(line: dict[str, Any], *, where: str) -> _Told:
    import numpy as np

    try:
        spans = np.array([span if len(span) > _SHORT else [*span, 0, 0] for span in line["spans"]], dtype=np.uint64)
        spans = spans.reshape(-1, BAD + 1)
        told = _Told(
            int(line["generation"]), int(line["epoch"]), spans, set(line.get("unapplied", ())), bool(line.get("repeated"))
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunFailed(
            "the ledger has a line that no run writes",
            where=where,
            note=f"{type(error).__name__}: {error}",
            help="restore ledger.jsonl from a copy; without it nothing can be proved",
        ) from error
    if (spans[:, START] >= spans[:, STOP]).any():
        raise RunFailed("the ledger has a span that ends before it begins", where=where, help="restore it from a copy")
    whole = np.array([len(span) <= _SHORT for span in line["spans"]], dtype=bool)
    spans[whole, USED] = spans[whole, STOP] - spans[whole, START]
    return told


def _that_count(told: Sequence[_Told]) -> list[np.ndarray]:
    """For each line which of its spans count: none past the step where a higher generation begins, and a repeated line's
    only for steps that the same generation's other lines leave out."""
    import numpy as np

    first: dict[int, int] = {}
    said: dict[int, list[np.ndarray]] = {}
    for each in told:
        if len(each.spans):
            first[each.generation] = min(first.get(each.generation, 2**63), int(each.spans[:, STEP].min()))
        if not each.repeated:
            said.setdefault(each.generation, []).append(each.spans[:, STEP])
    ends = {g: min((at for other, at in first.items() if other > g), default=2**63) for g in first}
    known = {g: np.unique(np.concatenate(steps)) for g, steps in said.items()}
    kept: list[np.ndarray] = []
    for each in told:
        counts = each.spans[:, STEP] < np.uint64(ends.get(each.generation, 2**63))
        if each.repeated:
            counts &= ~np.isin(each.spans[:, STEP], known.get(each.generation, np.empty(0, dtype=np.uint64)))
            known[each.generation] = np.union1d(known.get(each.generation, each.spans[:0, STEP]), each.spans[:, STEP])
        kept.append(counts)
    return kept


def _joined(parts: dict[int, list[np.ndarray]]) -> dict[int, np.ndarray]:
    import numpy as np

    joined = {}
    for epoch, arrays in sorted(parts.items()):
        spans = np.concatenate(arrays)
        if len(spans):
            joined[epoch] = spans[np.lexsort((spans[:, STOP], spans[:, START], spans[:, STEP]))]
    return joined


def head(*, generation: int, samples: int, batch_size: int, data: str) -> dict[str, Any]:
    """The line with which a generation begins. ``data``: the fingerprint."""
    return {"generation": generation, "samples": samples, "batch_size": batch_size, "data": data}
