"""Where a run stands, as far as its events and metric lines have told: the one source of all that displays show.

Takes what ``gdist/records.py`` lists, in the order it comes; holds no clock: ``now`` is passed where time matters.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gdist.display.members import Members
from gdist.job.measures import better
from gdist.records import Update

_WINDOW_S = 10.0  # of the steps that samples/s is measured over
_KEPT = 4096  # steps in that window, at most
_CURVE = 512  # losses kept for the curve; thinned by half when full
_STARTED = ("run", "run_dir", "workers", "total_steps", "epochs")  # taken as they come


@dataclass
class Evaluated:
    """One evaluation: the training loss since the last one, and the validation values by name."""

    step: int
    epoch: int
    train: dict[str, float]
    validation: dict[str, float]


@dataclass
class Standing:
    """What is not known is None: never shown as 0."""

    run: str | None = None
    run_dir: str | None = None
    workers: int | None = None
    members: Members = field(default_factory=Members)
    total_steps: int | None = None
    epochs: int | None = None

    rows_of: int | None = None  # of data that a trained run is asked about, rather than trained
    rows: int = 0  # of them done

    begun_at: int = 0  # the step this session began at
    step: int = 0
    epoch: int = 0
    loss: float | None = None
    grad_norm: float | None = None
    lr: float | None = None
    log: dict[str, float] = field(default_factory=dict)
    skipped: int = 0

    evaluated: Evaluated | None = None
    best: dict[str, tuple[float, int]] = field(default_factory=dict)  # validation value's name -> (best, its epoch)
    last_step_time: float | None = None  # wall clock, s
    stopping: str | None = None
    curve: list[float] = field(default_factory=list)

    _recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_KEPT), repr=False)
    _every: int = 1  # one of so many losses is in the curve

    def take(self, update: Update) -> None:
        """Notes what an update says. Its lines were measured before its events happened."""
        self.take_lines(update)
        for event in update.events:
            self.take_event(event)

    def take_lines(self, update: Update) -> None:
        """The first half of ``take``."""
        for line in update.lines:
            self.workers = line.get("workers", self.workers)
            if line.get("kind") == "progress":
                self._take_samples(float(line["time"]), int(line["rows"]) - self.rows)
                self.rows = int(line["rows"])
            elif line.get("kind") == "step":
                self._take_step(line)
            elif line.get("kind") == "evaluation":
                self._take_evaluation(line)

    def take_event(self, event: dict[str, Any]) -> None:
        """One event of the second half."""
        name = event.get("event")
        self.members.take(event)
        if name == "started":
            for key in _STARTED:
                setattr(self, key, event.get(key))
            self.step = self.begun_at = int(event.get("step") or 0)
        elif name == "opened":
            self.rows_of, self.workers = event.get("samples"), event.get("workers")
        elif name == "generation":
            self.workers = event.get("workers", self.workers)
        elif name == "skipped_step":
            self.skipped += 1
        elif name == "stopping":
            self.stopping = event.get("reason")

    def _take_step(self, line: dict[str, Any]) -> None:
        self.step, self.epoch = int(line["step"]), int(line.get("epoch") or 0)
        self.lr = line.get("lr", self.lr)
        if not line.get("skipped"):
            self.loss, self.grad_norm = line.get("loss"), line.get("grad_norm")
        self.log = line.get("log") or {}
        self.last_step_time = time = float(line["time"])
        self._take_samples(time, int(line.get("samples") or 0))
        if self.loss is not None and (self.step - self.begun_at - 1) % self._every == 0:
            self.curve.append(self.loss)
            if len(self.curve) >= _CURVE:
                self.curve, self._every = self.curve[::2], self._every * 2

    def _take_samples(self, time: float, samples: int) -> None:
        self._recent.append((time, samples))
        while len(self._recent) > 2 and time - self._recent[0][0] > _WINDOW_S:
            self._recent.popleft()

    def _take_evaluation(self, line: dict[str, Any]) -> None:
        found = Evaluated(int(line["step"]), int(line.get("epoch") or 0), line.get("train") or {}, line.get("validation") or {})
        self.evaluated = found
        for name, value in found.validation.items():
            old = self.best.get(name)
            if value == value and (old is None or is_better(name, value, old[0])):
                self.best[name] = (value, found.epoch)

    @property
    def began(self) -> bool:
        """Whether the workers are at work."""
        return self.run is not None or self.rows_of is not None

    @property
    def share_done(self) -> float | None:
        """Of the steps (or rows), 0 to 1; None where only a rule ends the run."""
        if self.rows_of:
            return self.rows / self.rows_of
        return min(1.0, self.step / self.total_steps) if self.total_steps else None

    def samples_per_s(self) -> float | None:
        """Over the last seconds, evaluations and checkpoints included; None before the second step."""
        spent = self._recent[-1][0] - self._recent[0][0] if self._recent else 0.0
        return sum(samples for _, samples in list(self._recent)[1:]) / spent if spent > 0 else None

    def seconds_left(self) -> float | None:
        """At the pace of the last seconds; None where no total is known yet."""
        spent = self._recent[-1][0] - self._recent[0][0] if len(self._recent) > 1 else 0.0
        if self.rows_of is not None:
            pace = self.samples_per_s()
            return (self.rows_of - self.rows) / pace if pace else None
        if not self.total_steps or spent <= 0:
            return None
        return (self.total_steps - self.step) * spent / (len(self._recent) - 1)


def is_better(name: str, value: float, old: float) -> bool:
    """Whether a validation value improves on another."""
    return value > old if better(name) == "higher" else value < old
