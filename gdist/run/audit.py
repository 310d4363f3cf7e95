"""Was every sample of an epoch used exactly once? Proved from the ledger and from the data's index (pure).

Two facts together prove it: the spans of an epoch's steps cover its positions once each, and the rows read for a span carry
the stamps that the index and the order give for it (sums modulo 2**64: a wrong row passes with a chance of 2**-64).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gdist.errors import RunFailed
from gdist.run.faults import Expected, Fault, Search
from gdist.run.ledger import BAD, STAMP, START, STEP, STOP, USED, Ledger

if TYPE_CHECKING:
    import numpy as np

_NAMED = 100  # faults of an epoch that are named; the others are counted


@dataclass(kw_only=True)
class Epoch:
    """An epoch's samples by what became of them. ``samples``: positions of the steps taken so far, all of the epoch's once it
    is ``finished``; ``unapplied``: used in a step that changed nothing; ``bad``: left out as the data asked for;
    ``rolled_back``: read in steps that a resumed run took again, or gave up."""

    epoch: int
    samples: int
    steps: int
    finished: bool
    used: int = 0
    unapplied: int = 0
    bad: int = 0
    rolled_back: int = 0
    lost: int = 0
    doubled: int = 0
    faults: list[Fault] = field(default_factory=list)

    def blame(self, fault: Fault) -> None:
        if fault.kind == "lost":
            self.lost += fault.count
        else:
            self.doubled += fault.count
        if len(self.faults) < _NAMED:
            self.faults.append(fault)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """``samples``: of a whole epoch."""

    samples: int
    batch_size: int
    steps: int
    epochs: list[Epoch]

    @property
    def lost(self) -> int:
        return sum(epoch.lost for epoch in self.epochs)

    @property
    def doubled(self) -> int:
        return sum(epoch.doubled for epoch in self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"proved": not (self.lost or self.doubled), "lost": self.lost, "doubled": self.doubled, **asdict(self)}


def audit(ledger: Ledger, expected: Expected, *, samples: int, batch_size: int, steps: int) -> Audit:
    """``steps``: that the run has taken, whether the ledger knows of them or not. Raises RunFailed for a ledger that
    contradicts itself."""
    per_epoch = -(-samples // batch_size)
    epochs = []
    for number in range(1, -(-steps // per_epoch) + 1):
        taken = min(per_epoch, steps - (number - 1) * per_epoch)
        epoch = Epoch(
            epoch=number, samples=min(samples, taken * batch_size), steps=taken, finished=taken == per_epoch,
            rolled_back=_positions(ledger.rolled_back.get(number)),
        )  # fmt: skip
        _prove(epoch, ledger, expected, samples=samples, batch_size=batch_size, per_epoch=per_epoch)
        epochs.append(epoch)
    return Audit(samples=samples, batch_size=batch_size, steps=steps, epochs=epochs)


def _positions(spans: np.ndarray | None) -> int:
    return 0 if spans is None else int((spans[:, STOP] - spans[:, START]).sum())


def _prove(epoch: Epoch, ledger: Ledger, expected: Expected, *, samples: int, batch_size: int, per_epoch: int) -> None:
    import numpy as np

    spans = ledger.spans.get(epoch.epoch, np.empty((0, 6), dtype=np.uint64)).view(np.int64)  # stamps wrap, the rest is small
    _require_places(spans, epoch.epoch, samples=samples, batch_size=batch_size, per_epoch=per_epoch)
    first_step = (epoch.epoch - 1) * per_epoch + 1

    def step_at(position: int) -> int:
        return first_step + position // batch_size

    for fault in _uncovered(spans, epoch.samples, step_at):
        epoch.blame(fault)
    unapplied = np.isin(spans[:, STEP], np.array(sorted(ledger.unapplied), dtype=np.int64))
    epoch.used = int(spans[~unapplied, USED].sum())
    epoch.unapplied = int(spans[unapplied, USED].sum())
    epoch.bad = int(spans[:, BAD].sum())
    search = Search(expected)
    firsts = np.flatnonzero(np.diff(spans[:, STEP], prepend=-1))
    for first, end in pairwise([*firsts.tolist(), len(spans)]):
        of = spans[first:end]
        low, high = int(of[:, START].min()), int(of[:, STOP].max())
        rows = expected.rows_at(epoch.epoch - 1, low, high)
        stamps = expected.identities(rows)
        sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(stamps)])  # wraps, as the stamps' sums do
        off = sums[of[:, STOP] - low] - sums[of[:, START] - low] - of[:, STAMP]
        short = of[:, STOP] - of[:, START] - of[:, USED] - of[:, BAD]
        for k in np.flatnonzero((off != 0) | (short != 0)).tolist():
            step, start, stop = (int(of[k, column]) for column in (STEP, START, STOP))
            here = slice(start - low, stop - low)
            for fault in search.faults(step, start, rows[here], stamps[here], off=int(off[k]), short=int(short[k])):
                epoch.blame(fault)


def _require_places(spans: np.ndarray, epoch: int, *, samples: int, batch_size: int, per_epoch: int) -> None:
    """Each span lies in its step, and its step in this epoch."""
    begins = (spans[:, STEP] - 1) % per_epoch * batch_size
    ends = (begins + batch_size).clip(max=samples)
    wrong = ((spans[:, STEP] - 1) // per_epoch + 1 != epoch) | (spans[:, START] < begins) | (spans[:, STOP] > ends)
    for step, start, stop in spans[wrong][:1, :3].tolist():
        raise RunFailed(
            f"the ledger says that step {step} read positions {start} to {stop - 1} of epoch {epoch}, which are not its own",
            help="restore ledger.jsonl from a copy; without it nothing can be proved",
        )


def _uncovered(spans: np.ndarray, samples: int, step_at: Callable[[int], int]) -> Iterator[Fault]:
    """Positions that no span covers, and those that more than one does."""
    import numpy as np

    order = np.lexsort((spans[:, STOP], spans[:, START]))
    starts, stops = np.append(spans[order, START], samples), np.append(spans[order, STOP], samples)
    reached = np.concatenate([np.zeros(1, dtype=np.int64), np.maximum.accumulate(stops)[:-1]])
    for k in np.flatnonzero(starts != reached).tolist():
        start, stop, before = int(starts[k]), int(stops[k]), int(reached[k])
        if start > before:
            why = "no span of the ledger has it" if start - before == 1 else "no span of the ledger has them"
            yield Fault(kind="lost", count=start - before, step=step_at(before), start=before, stop=start, why=why)
        elif (end := min(stop, before)) > start:
            why = "two spans of the ledger have " + ("it" if end - start == 1 else "them")
            yield Fault(kind="doubled", count=end - start, step=step_at(start), start=start, stop=end, why=why)
