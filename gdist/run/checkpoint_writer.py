"""Writes a worker's parts of checkpoints in a thread, while training goes on: a step waits only for the copy in memory.

Parts are written in the order in which they were saved. At most one is being written and one waits, unless they are small:
``busy`` says so to the worker that leads, which wishes for no more meanwhile (it is done with a checkpoint only when all parts
have come, so that no other worker has more in hand). A failure (full disk, folder read-only, store away) stops nothing: it is
in ``reports()``, and of those that wait only the newest is tried, as each may take as long to fail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gdist.errors import CheckpointError, DataError, DeadlineExceeded
from gdist.fault_points import fault_point
from gdist.run.checkpoint import list_checkpoints, remove_checkpoint, remove_leftovers
from gdist.run.checkpoint_write import Part, write_part
from gdist.run.copies import Buffers, Copy, bytes_of, copy_share
from gdist.run.shares import parts_for, share
from gdist.run.store import Location

if TYPE_CHECKING:
    from torch import Tensor

PART_WAIT_S = 120.0  # for the others' parts
_LEAST_PREPARED = 1 << 20  # bytes
_HELD = 2  # parts in hand, of which one is being written; more if they are small
_SMALL = 64 << 20  # bytes of all of them
_HELD_SMALL = 64


@dataclass(frozen=True, kw_only=True)
class Report:
    """One checkpoint's outcome: ``path`` if it is durable, ``error`` if it failed, neither for a part that is another's to
    finish."""

    step: int
    name: str | None
    path: Location | None = None
    bytes: int = 0
    parts: int = 1
    seconds: float = 0.0  # of writing, in the thread
    copy_seconds: float = 0.0  # for which training waited
    error: CheckpointError | None = None


@dataclass(frozen=True, eq=False)  # a task is itself: comparing tensors says nothing
class _Task:
    part: Part
    copy: Copy
    copy_seconds: float


class CheckpointWriter:
    """``keep``: how many unnamed checkpoints stay; of each name only the newest. ``given_up(generation,
    idle_s)``: why a checkpoint of that generation counts no more, or None (``GivenUp``)."""

    def __init__(
        self,
        where: Location,
        *,
        keep: int = 3,
        given_up: Callable[[int, float | None], str | None] = lambda generation, idle_s: None,
        part_wait_s: float = PART_WAIT_S,
    ) -> None:
        self.where = where
        self.keep = max(1, keep)
        self.last_error: CheckpointError | None = None  # None again after one that succeeded
        self._given_up = given_up
        self._part_wait_s = part_wait_s
        self._buffers = Buffers()
        self._change = threading.Condition()
        self._waiting: list[_Task] = []
        self._writing: _Task | None = None
        self._closed = False
        self._reports: list[Report] = []
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether one more would have to wait for memory."""
        with self._change:
            return self._full()

    def save(
        self,
        step: int,
        *,
        files: Mapping[str, Mapping[str, Tensor]],
        state: dict[str, Any],
        name: str | None = None,
        generation: int = 1,
        number: int = 0,
        workers: int = 1,
        facts: dict[str, Any] | None = None,
        wait: bool = False,
    ) -> None:
        """Copies this worker's share now and writes it soon. ``files``: file name without suffix -> tensors by name;
        ``number`` of ``workers``: which share (a small state is the first's alone).

        ``state``, ``facts`` are JSON and must not change afterwards. Where two are in hand, it waits for one. ``wait=True``
        returns when it is durable, and raises CheckpointError if it is not."""
        parts = parts_for(files, workers)
        if number >= parts:
            return
        with self._change:
            if self._closed:
                raise CheckpointError(f"the checkpoint of step {step} came after the writer was closed")
            self._change.wait_for(lambda: not self._full(), 2 * self._part_wait_s)
        begun = time.perf_counter()
        pieces, words = share(files, number, parts)
        copy = copy_share(pieces, self._buffers)
        part = Part(
            step=step, tensors=copy.tensors, words=words, state=state, facts=facts or {}, name=name, generation=generation,
            number=number, parts=parts,
        )  # fmt: skip
        task = _Task(part, copy, time.perf_counter() - begun)
        with self._change:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gdist-checkpoints", daemon=True)
                self._thread.start()
            self._waiting.append(task)
            self._change.notify_all()
        if wait:
            self.flush(timeout=None)
            if self.last_error is not None:
                raise self.last_error

    def prepare(self, files: Mapping[str, Mapping[str, Tensor]], *, number: int, workers: int) -> None:
        """Has the memory for copies of such a state made ready in a thread: else the first copy is several times as slow."""
        parts = parts_for(files, workers)
        if number >= parts:
            return
        pieces, _ = share(files, number, parts)
        if (size := bytes_of(pieces)) < _LEAST_PREPARED:
            return
        pinned = any(piece.tensor.is_cuda for named in pieces.values() for piece in named.values())
        threading.Thread(target=lambda: self._buffers.prepare(size, pinned=pinned), name="gdist-memory", daemon=True).start()

    def flush(self, timeout: float | None = 60.0) -> None:
        """Waits until nothing is being written and nothing waits. Raises DeadlineExceeded after ``timeout`` seconds."""
        with self._change:
            if not self._change.wait_for(lambda: not self._writing and not self._waiting, timeout):
                what = f"a checkpoint is still being written after {timeout:g} s"
                raise DeadlineExceeded(
                    what, where=str(self.where), help="the disk is slow or away; the older checkpoints are good"
                )

    def reports(self) -> list[Report]:
        """What became of the checkpoints since the last call."""
        with self._change:
            reports, self._reports = self._reports, []
        return reports

    def close(self, timeout: float | None = 60.0) -> None:
        """Writes what waits, then ends the thread. Raises DeadlineExceeded after ``timeout`` seconds."""
        try:
            self.flush(timeout)
        finally:
            with self._change:
                self._closed = True
                self._change.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _full(self) -> bool:
        held = [*self._waiting, *([self._writing] if self._writing else [])]
        size = sum(task.copy.buffer.numel() for task in held)
        return len(held) >= (_HELD if size >= _SMALL else _HELD_SMALL)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                task = self._waiting.pop(0)
                self._writing = task
            report = self._write(task)
            self._buffers.give(task.copy.buffer)
            with self._change:
                self.last_error = report.error
                self._reports.append(report)
                self._writing = None
                if report.error is not None:
                    self._drop_outdated()
                self._change.notify_all()

    def _drop_outdated(self) -> None:
        """Leaves out those of which nobody else has a part and after which a newer one of the same name waits."""
        newest = {task.part.name: task for task in self._waiting}
        self._waiting = [task for task in self._waiting if task.part.parts > 1 or newest[task.part.name] is task]

    def _write(self, task: _Task) -> Report:
        begun, part = time.perf_counter(), task.part
        common: dict[str, Any] = {"step": part.step, "name": part.name, "parts": part.parts, "copy_seconds": task.copy_seconds}
        try:
            task.copy.wait()
            written = write_part(
                self.where,
                part,
                given_up=lambda idle_s: self._given_up(part.generation, idle_s),
                wait_s=self._part_wait_s,
            )
            seconds = time.perf_counter() - begun
            if written is None:
                return Report(**common, seconds=seconds)
            self._remove_older(part, written.path)
            return Report(**common, path=written.path, bytes=written.bytes, seconds=seconds)
        except CheckpointError as error:
            return Report(**common, error=error, seconds=time.perf_counter() - begun)
        except Exception as error:  # the thread's edge: whatever it is, training hears of it and goes on
            failure = CheckpointError(f"the checkpoint of step {part.step} failed: {error!r}", where=str(self.where))
            return Report(**common, error=failure, seconds=time.perf_counter() - begun)

    def _remove_older(self, part: Part, newest: Location) -> None:
        """Called when ``newest`` is durable. A run that went back keeps what it wrote last, not what has the highest step."""
        fault_point("checkpoint_older")
        try:
            alike = [place for place in list_checkpoints(self.where) if place.name == part.name and place.path != newest]
            alike.sort(key=lambda place: (place.written, place))
            stay = (self.keep if part.name is None else 1) - 1
            for place in alike[: len(alike) - stay]:
                remove_checkpoint(place.path)
                fault_point("checkpoint_removed")
            now = (part.step, part.generation)  # whoever is done with it has no use for what is older and not whole
            remove_leftovers(self.where, which=lambda place: (place.step, place.generation) < now)
        except (OSError, DataError, CheckpointError):
            return  # more is kept than was asked for; the next one tries again
