"""The course of a run: which worker is where, and what follows from what has happened. No clock, no Ray, no file inside.

    starting -> ready -> training -> returned -> left  each worker; or failed, or dead
    forming -> training -> settling -> saving -> over  the run; the middle two only if it fails

Events come in by the ``on_`` methods with ``now`` (monotonic s); each returns what is to be done. When a worker fails or dies
the others fail too (PeerLost), often earlier than the cause is known: the course waits for the cause and for the survivors,
has the most advanced of them save the last good step, and then ends the run with the cause.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from gdist.errors import DeadlineExceeded, GdistError, PeerLost, RunFailed, UsageError

PREPARE_S = 1800.0  # job, model and data; a first use may download
JOIN_S = 120.0  # from ready to training, and from the first worker's end to the last one's
SETTLE_S = 1.0  # for survivors to report after the cause is known
CAUSE_S = 5.0  # for a cause after the first PeerLost
SAVE_S = 60.0  # for the checkpoint of the last good step


@dataclass(frozen=True)
class Form:
    """All workers are ready: make the run's folder and let the first ``workers`` join generation 1, rank = slot; the job has
    too few micro-batches for the others, who leave."""

    workers: int


@dataclass(frozen=True)
class Save:
    """Worker ``slot`` writes a checkpoint of its last good step."""

    slot: int


@dataclass(frozen=True)
class Ask:
    """Raise a wish in every worker."""

    wish: str
    reason: str


@dataclass(frozen=True)
class End:
    """The run is over: with a result, an error, or neither (stopped before it began)."""

    result: dict[str, Any] | None = None
    error: GdistError | None = None
    reason: str = ""
    step: int = 0


Instruction = Form | Save | Ask | End
Phase = Literal["forming", "training", "settling", "saving", "over"]


@dataclass
class Seat:
    """What is known of one worker."""

    state: Literal["starting", "ready", "training", "returned", "left", "failed", "dead"] = "starting"
    hello: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    result: dict[str, Any] | None = None


class Course:
    """``workers``: how many the run has; slot k sits in ``seats[k]``. ``given``: the number is the user's own, so that one
    that the job cannot employ is refused, where a default is lowered."""

    def __init__(self, workers: int, *, given: bool, now: float) -> None:
        self._given = given
        self.seats = [Seat() for _ in range(workers)]
        self.phase: Phase = "forming"
        self.error: GdistError | None = None
        self._guess: GdistError | None = None  # the first PeerLost: the error only if no cause is found
        self._deadline = now + PREPARE_S
        self._saver: int | None = None

    def on_hello(self, slot: int, hello: dict[str, Any], *, now: float) -> list[Instruction]:
        seat = self.seats[slot]
        if self.phase != "forming" or seat.state != "starting":
            return []
        seat.state, seat.hello = "ready", hello
        micro_batches = int(hello["micro_batches"])
        if self._given and len(self.seats) > micro_batches:
            return self._over(End(error=_too_many(len(self.seats), micro_batches)))
        self.seats = self.seats[:micro_batches]
        if any(s.state != "ready" for s in self.seats):
            return []
        for seat in self.seats:
            seat.state = "training"
        self.phase, self._deadline = "training", float("inf")
        return [Form(len(self.seats))]

    def on_returned(self, slot: int, result: dict[str, Any], *, now: float) -> list[Instruction]:
        seat = self.seats[slot]
        seat.state, seat.result, seat.step = "returned", result, int(result.get("steps") or 0)
        if self.phase == "training":
            self._deadline = min(self._deadline, now + JOIN_S)
            if all(s.state in ("returned", "left") for s in self.seats):
                return self._over(End(result=self.seats[0].result, step=seat.step))
        return self._proceed(now)

    def on_failed(self, slot: int, error: GdistError, step: int, *, now: float) -> list[Instruction]:
        seat = self.seats[slot]
        seat.state, seat.step = "failed", step
        if self.phase == "forming":
            return self._over(End(error=error))  # nothing was trained
        return self._fail(error, now)

    def on_died(self, slot: int, error: GdistError, *, now: float) -> list[Instruction]:
        seat = self.seats[slot]
        if seat.state == "dead" or self.phase == "over":
            return []
        if seat.state == "returned" and slot != 0:
            seat.state = "left"
            return []  # its part was done
        seat.state = "dead"
        if self.phase == "saving" and slot == self._saver:
            return self._save_with_another(now)
        if self.phase == "forming":
            return self._over(End(error=error))
        return self._fail(error, now)

    def on_saved(self, slot: int, step: int, error: GdistError | None, *, now: float) -> list[Instruction]:
        if self.phase != "saving" or slot != self._saver:
            return []
        assert self.error is not None
        self.seats[slot].step = step
        if error is not None:
            self.seats[slot].state = "dead"  # as far as saving goes
            return self._save_with_another(now, because=error)
        return self._over(End(error=self.error, step=step))

    def on_wish(self, wish: str, reason: str, *, now: float) -> list[Instruction]:
        if self.phase == "forming" and wish == "stop":
            return self._over(End(reason=reason))
        return [Ask(wish, reason)] if self.phase == "training" else []

    def on_fault(self, error: GdistError, *, now: float) -> list[Instruction]:
        """The run cannot go on for a reason outside its workers; they are asked to stop, for what they can still save."""
        if self.phase == "over":
            return []
        if self.phase == "forming":
            return self._over(End(error=error))
        self.error = self.error or error
        return self._over(End(error=self.error, step=max(s.step for s in self.seats)))

    def on_time(self, *, now: float) -> list[Instruction]:
        if self.phase == "over" or now < self._deadline:
            return []
        if self.phase == "forming":
            late = [k for k, s in enumerate(self.seats) if s.state == "starting"]
            return self._over(End(error=_late(late, "prepare job, model and data", PREPARE_S)))
        if self.phase == "training":
            if self._guess is not None:
                return self._fail(self._guess, now, certain=True)
            late = [k for k, s in enumerate(self.seats) if s.state == "training"]
            return self._fail(_late(late, "come to the end after the first had", JOIN_S), now)
        if self.phase == "saving" and self._saver is not None:
            self.seats[self._saver].state = "dead"
        return self._save_with_another(now)

    def employs(self, slot: int) -> bool:
        """Whether the worker has a part in the run (or may still get one)."""
        return slot < len(self.seats)

    # -- after a failure --

    def _fail(self, error: GdistError, now: float, *, certain: bool = False) -> list[Instruction]:
        if self.phase == "training":
            if isinstance(error, PeerLost) and not certain:
                if self._guess is None:
                    self._guess, self._deadline = error, min(self._deadline, now + CAUSE_S)
                return []  # the death or the error that explains it is on its way
            self.error, self.phase, self._deadline = error, "settling", now + SETTLE_S
        return self._proceed(now)

    def _proceed(self, now: float) -> list[Instruction]:
        """From settling to saving, once no worker is left whose report is awaited."""
        if self.phase == "settling" and not any(s.state == "training" for s in self.seats):
            return self._save_with_another(now)
        return []

    def _save_with_another(self, now: float, *, because: GdistError | None = None) -> list[Instruction]:
        able = [k for k, s in enumerate(self.seats) if s.state in ("failed", "returned") and s.step > 0]
        if not able:
            assert self.error is not None
            note = None
            if because is not None:
                note = f"no checkpoint of the last good step: {because.what}"
            elif any(s.step > 0 for s in self.seats):
                note = "no checkpoint of the last good step: no worker was left to write it"
            if note:
                self.error.note = f"{self.error.note}; {note}" if self.error.note else note
            return self._over(End(error=self.error, step=max(s.step for s in self.seats)))
        self._saver = min(able, key=lambda k: (-self.seats[k].step, k))
        self.phase, self._deadline = "saving", now + SAVE_S
        return [Save(self._saver)]

    def _over(self, end: End) -> list[Instruction]:
        self.phase = "over"
        return [end]


def _too_many(workers: int, micro_batches: int) -> UsageError:
    return UsageError(
        f"{workers} workers are too many for this job: a step has {micro_batches} micro-batches",
        where=f"--workers {workers}",
        help=f"ask for at most {micro_batches}, or set micro_batches={workers} in the job (it is part of its mathematics)",
    )


def _late(slots: list[int], what: str, bound_s: float) -> RunFailed:
    who = ", ".join(f"worker {k}" for k in slots) or "a worker"
    return DeadlineExceeded(f"{who} did not {what} within {bound_s:.0f} s")
