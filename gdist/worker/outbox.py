"""What a worker has to say, gathered and sent about once a second, never a message a step.

All members of a run note the same; one of them (rank 0) leads, and sends. The others keep theirs, so that whoever leads next
can say what its predecessor may have kept silent. What stands before the metric line of a step that is known to be written
(``acknowledge``) is forgotten. Where nobody acknowledges (torchrun, a run in one process), what is sent counts as written,
and the others keep a few seconds' worth.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple

from gdist.records import Update, Watch, event
from gdist.run.ledger import Entry, head, to_lines

EVERY_S = 1.0
KEPT_S = 5.0  # of what a worker that does not lead keeps, where nobody acknowledges


class Said(NamedTuple):
    """``kind``: an event, a metric line, a step's ledger entry, the ledger's head of a generation."""

    number: int  # counts what this worker has said
    kind: Literal["event", "line", "entry", "head"]
    content: Any
    generation: int


class Outbox:
    """``send`` receives Updates from the training thread. ``leads``: this worker speaks for the run (rank 0)."""

    def __init__(self, send: Watch, *, slot: int) -> None:
        self._send = send
        self.slot = slot
        self._lock = threading.Lock()  # of what follows: acknowledgements come from another thread
        self._kept: deque[Said] = deque()
        self._count = 0
        self._sent = 0  # how many of what was said are sent
        self._taken_over = 0  # how many were said before this worker led
        self._marks: deque[tuple[float, int]] = deque()  # (time, count), where what is older is forgotten
        self._acknowledged = False
        self._generation = 1
        self._flushed = time.monotonic()
        self.leads = slot == 0

    def begin(self, *, generation: int, **facts: Any) -> None:
        """A generation begins; ``facts``: what its first line in the ledger says."""
        self.flush()  # what is left of the one before
        self._generation = generation
        self._keep("head", head(generation=generation, **facts))

    def lead(self) -> None:
        """From now on this worker speaks for the run, first of what its predecessor may have kept silent."""
        if not self.leads:
            self.leads = True
            with self._lock:
                self._sent = self._kept[0].number if self._kept else self._count
                self._taken_over = self._count

    def say_again(self) -> None:
        """Whoever writes was away: all that is not acknowledged is sent once more. From any thread."""
        with self._lock:
            self._sent = min(self._sent, self._kept[0].number if self._kept else self._count)
            self._taken_over = max(self._taken_over, self._count)

    def acknowledge(self, step: int) -> None:
        """The metric line of ``step`` and all before it are written. From any thread."""
        with self._lock:
            self._acknowledged = True
            upto = 0
            for said in self._kept:
                if self.leads and said.number >= self._sent:
                    break
                if said.kind == "line" and said.content["kind"] == "step":
                    if said.content["step"] > step:
                        break
                    upto = said.number + 1
            self._forget(upto)

    def event(self, name: str, /, **fields: Any) -> None:
        """An event of the run, said by the worker that leads; sent at once."""
        self._keep("event", event(name, **{key: value for key, value in fields.items() if value is not None}))
        self.flush()

    def line(self, line: dict[str, Any]) -> None:
        """A metric line of the run, said by the worker that leads."""
        self._keep("line", line)
        if time.monotonic() - self._flushed >= EVERY_S:
            self.flush()

    def entry(self, entry: Entry) -> None:
        """A step for the ledger. Before the step's line."""
        self._keep("entry", entry)

    def flush(self) -> None:
        """Sends what is to be sent."""
        self._flushed = time.monotonic()
        with self._lock:
            if not self.leads:
                if not self._acknowledged:
                    self._forget_older()
                return
            new = [said for said in self._kept if said.number >= self._sent]
            self._sent = self._count
            if not self._acknowledged:
                self._forget(self._count)
        if new:
            events, lines = ([said.content for said in new if said.kind == kind] for kind in ("event", "line"))
            self._send(Update(events=events, lines=lines, ledger=list(self._ledger(new)), worker=self.slot))

    def kept(self) -> list[list[Any]]:
        """What is not acknowledged, as JSON, for a worker that may lead next."""
        with self._lock:
            return [[said.kind, _to_json(said), said.generation] for said in self._kept]

    def adopt(self, kept: Sequence[Sequence[Any]]) -> None:
        """Takes another worker's ``kept`` in place of its own, which is behind."""
        with self._lock:
            self._kept.clear()
            self._sent = self._count
            for kind, content, generation in kept:
                self._kept.append(Said(self._count, kind, _from_json(kind, content), generation))
                self._count += 1
            self._taken_over = self._count

    def _keep(self, kind: Literal["event", "line", "entry", "head"], content: Any) -> None:
        with self._lock:
            self._kept.append(Said(self._count, kind, content, self._generation))
            self._count += 1

    def _ledger(self, new: Sequence[Said]) -> Iterator[dict[str, Any]]:
        told = [said for said in new if said.kind in ("entry", "head")]
        for (kind, generation, repeated), group in groupby(told, lambda s: (s.kind, s.generation, s.number < self._taken_over)):
            if kind == "head":
                yield from (said.content for said in group)
            else:
                yield from to_lines([said.content for said in group], generation=generation, repeated=repeated)

    def _forget(self, upto: int) -> None:
        while self._kept and self._kept[0].number < upto:
            self._kept.popleft()

    def _forget_older(self) -> None:
        now = time.monotonic()
        self._marks.append((now, self._count))
        while now - self._marks[0][0] > KEPT_S:
            self._forget(self._marks.popleft()[1])


def _to_json(said: Said) -> Any:
    if said.kind != "entry":
        return said.content
    step, epoch, applied, reads = said.content
    return [step, epoch, applied, reads.tolist()]


def _from_json(kind: str, content: Any) -> Any:
    if kind != "entry":
        return content
    import numpy as np

    step, epoch, applied, reads = content
    return step, epoch, applied, np.array(reads, dtype=np.float64)
