"""What travels between a driver, a controller and workers: plain data, JSON apart from a job made in Python.

Events (``events.jsonl``, ``--json``) are dicts with ``event`` (its name), ``time`` (wall clock, s since 1970) and
``monotonic`` (s, for differences on one host). Fields that are not known are left out:
    started       run (name), run_dir, job (name), job_file (left out: made in Python), workers, parameters, samples,
                  validation_samples, test_samples, batch_size, micro_batches, steps_per_epoch, total_steps (left out: a stop
                  rule decides), epochs, step (where it begins: 0, or what a resumed run goes on from), resumed (bool)
    generation    generation, workers (how many), members, joined, left (slots), reason, step (the last one taken),
                  pause_seconds (from the end of that step, or of the evaluation after it, until the next could begin; left out:
                  the first generation)
    first_step    step, seconds (from the user's command)
    evaluation    what its metric line holds
    checkpoint    step, name (None: a regular one), path, bytes, seconds, parts (one of each worker that wrote); in place of
                  path and what follows: error (text), again_seconds (until it is tried again), safe_step (of the newest one
                  that is whole; left out: there is none)
    skipped_step  step, epoch, why, positions (spans of the epoch's order, [from, to))
    bad_rows      step, epoch, rows (left out of the epoch that ended), examples (the first of them: where, and why)
    scale         least, most (workers wanted from now on), reason
    worker_hired  worker, incarnation (the first is 0), after_seconds (it starts so much later: those before it died)
    worker_refused  worker, host, reason (what differs from the others)
    leaving       worker, host, reason (SIGTERM, a drained node ...)
    waiting       what (that is waited for, as words), and nothing goes on meanwhile
    hung          worker, host, phase, step, seconds (so long), allowed_seconds; it is killed
    worker_lost   worker, host, cause, step, last_lines (that it printed)
    poisoned      step, micro_batches ([first, one past the last]), deaths, samples (where they lie), then ("stop" or "skip")
    controller    workers (slots), seconds (since the former one has last written anything down); a new one leads the run
    stopping      step, reason, by ("job": one of its own rules; "wish": somebody asked)
    explained     text (something the user should know once: a changed optimizer starts fresh, a checkpoint was passed over ...)
    finished      what ``result.json`` holds
    failed        error (``GdistError.to_dict()``), step
``--json`` adds two that the run folder keeps elsewhere or not at all:
    step          what its metric line holds
    output        worker, text (a line printed by user code)

A trained run that is evaluated or predicts with is only read: none of this is written into its folder. Its events are
    opened        purpose, run, run_dir, weights (which), data (which), samples, workers
    progress      rows (so far), samples, workers
    finished      status, reason, purpose, run, run_dir, weights, data, rows, bad (rows left out), workers, wall_seconds;
                  evaluate: metrics {loss, metric...}; predict: out, columns
and ``worker_lost``, ``waiting``, ``explained``, ``output``, ``failed`` as above.

``worker`` is a slot, 0, 1, ...: a stable place, in which one process may follow another (its ``incarnation``).

Metric lines (``metrics.jsonl``) have ``kind`` and ``time`` (wall clock):
    step        step, epoch, loss, lr, grad_norm, samples, workers, generation, skipped, seconds {phase: s}, log {name: value}
    evaluation  step, epoch, train {loss}, validation {loss, metric...} (None: there is none), workers, generation, seconds
``step`` and ``epoch`` count from 1 for the first: they say how many were taken or begun.

``result.json``: status ("done", "stopped": somebody asked, "failed"), reason, steps, run_dir; unless it failed: epochs, train
{loss}, validation {loss, metric...}, test {loss, metric...} (None: there is none, or somebody stopped the run), bad_rows
(left out so far, each in every epoch), wall_seconds, first_step_seconds, workers, weights_sha256; else ``error``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Wish = Literal["stop", "checkpoint", "evaluate", "drain", "finish"]
# drain: all workers save and leave, others go on from there; finish: a rule of the job itself, such as its time
WISHES: tuple[Wish, ...] = ("stop", "checkpoint", "evaluate", "drain", "finish")


Purpose = Literal["train", "evaluate", "predict"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What workers are asked to do. The job comes as a file, or as an object made in Python (``job``)."""

    job_file: str | None = None
    job: Any = None  # gdist.Job; sent by Ray's own serialization, never stored
    overrides: tuple[str, ...] = ()
    run_dir: str | None = None  # None: made by whoever leads the run, once the job's name is known
    runs_root: str = "runs"
    name: str | None = None
    resume: bool = False  # go on in run_dir from its newest good checkpoint
    accept: tuple[str, ...] = ()  # what may be another than it was, when a run is resumed: model, data, a field of the job
    page_dir: str | None = None  # where workers write their progress pages
    started: float = field(default_factory=time.time)  # wall clock of the user's command, for first_step_seconds
    purpose: Purpose = "train"
    # What follows asks something of the trained run in run_dir:
    weights: str | None = None  # its model file, or a checkpoint's folder
    data: Any = None  # other rows than the job's held-out ones: a path, or what a job takes as data (not stored)
    whole: bool = False  # all rows of the job's own training source, as overrides have changed it
    out: str | None = None  # the file that predictions are written to
    keep: tuple[str, ...] = ()  # columns of the data that stand beside the predictions
    data_state: dict[str, Any] | None = None  # what the run has learned of its data: a worker that joins it need not learn


@dataclass(frozen=True, kw_only=True)
class Membership:
    """One member's place in a generation. ``rank`` -1: none; it leaves at the boundary at which the others enter this one."""

    generation: int
    rank: int
    size: int
    run_dir: str | None = None
    doors: tuple[tuple[str, int], ...] = ()  # by rank: host and port at which each worker listens for its peers
    secret: str = ""  # of this generation: whoever calls without it is turned away
    workers: tuple[tuple[int, int], ...] = ()  # (slot, incarnation) by rank
    source: int | None = None  # the rank whose state counts; None: nobody has any
    restore: bool = False  # without a source: begin from the newest good checkpoint rather than anew
    one_host: bool = True
    reason: str = "start"
    skip: tuple[tuple[int, int, int], ...] = ()  # micro-batches left out: (step, first, one past the last)


@dataclass(frozen=True, kw_only=True)
class Changed:
    """All members of a generation have left it after ``step`` steps, to enter ``generation``; 0: since they were all to leave
    (the wish "drain"), after a checkpoint."""

    generation: int
    step: int


@dataclass(kw_only=True)
class Update:
    """News from a run, about once a second: what happened, what was measured, what user code printed."""

    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)  # lines of ledger.jsonl, for whoever writes the run folder
    output: list[str] = field(default_factory=list)  # lines printed by user code
    worker: int = 0  # slot of the worker that speaks


class Wishes:
    """What other threads want of a training loop; the loop puts it on the step's control row, so that all
    workers act at the same boundary. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: dict[Wish, str] = {}
        self._next = 0

    def change(self, generation: int) -> None:
        """This worker is ready to leave for ``generation`` as soon as all of its generation are."""
        with self._lock:
            self._next = max(self._next, generation)

    @property
    def next(self) -> int:
        """The number of the newest generation that ``change`` named, 0 if it never did; it may be entered or past by now."""
        return self._next

    def add(self, wish: Wish, *, reason: str = "") -> None:
        with self._lock:
            self._wanted.setdefault(wish, reason)

    def bits(self) -> int:
        """The wishes as a bit mask in the order of ``WISHES``."""
        with self._lock:
            return sum(1 << i for i, wish in enumerate(WISHES) if wish in self._wanted)

    def wants(self, wish: Wish) -> bool:
        with self._lock:
            return wish in self._wanted

    def reason(self, wish: Wish) -> str:
        with self._lock:
            return self._wanted.get(wish, "")

    def granted(self, wish: Wish) -> None:
        """Takes a wish back once all workers have acted on it."""
        with self._lock:
            self._wanted.pop(wish, None)


@dataclass
class Interrupt:
    """Set by a signal handler: ``stop`` at the next step boundary, or ``now``."""

    stop: threading.Event = field(default_factory=threading.Event)
    now: threading.Event = field(default_factory=threading.Event)
    reason: str = "interrupted"


Watch = Callable[[Update], None]


def event(name: str, /, **fields: Any) -> dict[str, Any]:
    """An event as it is written and sent."""
    return {"event": name, "time": time.time(), "monotonic": time.monotonic(), **fields}
