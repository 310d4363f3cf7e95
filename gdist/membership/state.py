"""What is known of a run: who sits where, in which generation, and what has been promised to whom.

hired -> preparing -> ready -> forming -> training -> returned     a worker; a dead one leaves its seat
forming or training -> broken, left or failed; -> forming          the same, where its generation ends
starting -> forming -> training -> (broken -> forming -> training)* -> over      the run
waiting: nobody is left who has state; the next generation begins from a checkpoint
taking up: the controller was restarted and listens for who is there
settling -> saving -> over: the run fails; the most advanced worker writes the last good step first
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from gdist.errors import GdistError
from gdist.membership.instructions import Form, Instruction, Say, Worker

Phase = Literal["starting", "taking up", "forming", "training", "broken", "waiting", "settling", "saving", "over"]
SeatState = Literal["hired", "preparing", "ready", "forming", "training", "broken", "left", "returned", "failed"]
NEVER = float("inf")


@dataclass
class Seat:
    """A worker that lives, as far as is known. ``generation``: the newest that it was told to join, or has spoken of;
    ``entered``: the newest that it has entered; ``step``: the last that it has committed (None: it has no state)."""

    slot: int
    incarnation: int
    since: float  # when ``state`` began
    state: SeatState = "hired"
    hello: dict[str, Any] = field(default_factory=dict)
    node: str | None = None
    generation: int = 0
    entered: int = 0
    entered_at: float = NEVER
    step: int | None = None
    result: dict[str, Any] | None = None
    silences: int = 0  # how often it was given up as never having acted, since it was last heard
    error: GdistError | None = None
    leaving: str | None = None  # why it must leave

    @property
    def worker(self) -> Worker:
        return self.slot, self.incarnation

    @property
    def acts(self) -> bool:
        """Whether it may still change its state without being told to."""
        return self.state in ("forming", "training")

    @property
    def is_candidate(self) -> bool:
        """Whether it has had no part in the run so far."""
        return self.state in ("hired", "preparing", "ready")


@dataclass
class Slot:
    """A place for workers, one after another."""

    incarnations: int = 0  # given out so far
    barren: int = 0  # of the last ones, how many were lost before they took part, or soon after
    hire_at: float = 0.0


@dataclass(frozen=True)
class Kept:
    """What one controller leaves to the next. ``skip``: (step, first, one past the last) of micro-batches that are left out;
    ``drained``: nodes; ``leaving``: (slot, incarnation, why) of those who were told to leave."""

    skip: tuple[tuple[int, int, int], ...] = ()
    drained: tuple[str, ...] = ()
    leaving: tuple[tuple[int, int, str], ...] = ()

    @classmethod
    def of(cls, noted: dict[str, Any]) -> Kept:
        """From ``dataclasses.asdict``, also through JSON."""
        skip = tuple((step, first, end) for step, first, end in noted["skip"])
        return cls(
            skip, tuple(noted["drained"]), tuple((slot, incarnation, why) for slot, incarnation, why in noted["leaving"])
        )


@dataclass
class State:
    """All that the state machine knows."""

    least: int
    most: int
    given: bool  # the number is the user's own: one that the job cannot employ is refused, where a default is lowered
    live: bool
    restore: bool  # the next generation without a source begins from the newest good checkpoint
    generation: int
    now: float
    phase: Phase = "starting"
    first_incarnation: int = 0  # of a slot that nothing is known of
    deadline: float = NEVER  # of the phase
    seats: dict[int, Seat] = field(default_factory=dict)
    slots: dict[int, Slot] = field(default_factory=dict)
    members: tuple[Worker, ...] = ()  # of the newest generation that is in force, by rank
    in_force: int = 0  # that generation's number
    pending: Form | None = None  # a planned change that the members have been told of and not yet made
    micro_batches: int | None = None
    reference: Seat | None = None  # whose proof the others' are compared with
    step: int = 0  # the highest that is known to be committed
    mark: int = 0  # the same, since the run has last begun or been restored: beyond it, the run gets on
    begun: int = 0  # the step that it began at then
    begins: bool = False  # nobody has yet said which step the present generation begins at
    reason: str = ""  # of the next generation
    gone: set[Worker] = field(default_factory=set)  # dead or dismissed: what they say late makes them nobody's worker again
    asked: str = ""  # why other bounds were set, until the run has as many workers as it may
    lost: list[int] = field(default_factory=list)  # slots of members that died since the last generation was formed
    refused_nodes: set[str] = field(default_factory=set)  # drained: nobody is hired there
    told_to_leave: dict[Worker, str] = field(default_factory=dict)  # and why
    unfit_nodes: set[str] = field(default_factory=set)  # whose workers were refused
    barren: list[tuple[str | None, GdistError]] = field(default_factory=list)  # (node, why) of losses without a success between
    stalled: list[GdistError] = field(default_factory=list)  # deaths of members since the run has last got on
    places: list[tuple[int, int, int]] = field(default_factory=list)  # what members were at when they died
    broke_at: float = 0.0
    vain: int = 0  # generations announced since the run has last got on
    poisoned: str = "stop"  # what the job wants of a micro-batch that kills: "stop" or "skip"
    skip: tuple[tuple[int, int, int], ...] = ()
    blame: tuple[int, int, int] | None = None
    wishes: dict[str, str] = field(default_factory=dict)  # asked for while nobody could hear it; "stop" stays
    drained: bool = False  # the members were asked to save and leave, since all of them must
    error: GdistError | None = None  # with which the run ends
    guess: GdistError | None = None  # the same, unless a better cause is found
    listening: bool = False  # while taking up: since the first event
    heard: int = 0  # while taking up: the newest generation that a worker is in
    saver: Worker | None = None
    waiting: str = ""
    out: list[Instruction] = field(default_factory=list)

    def sitting(self, slot: int, incarnation: int) -> Seat | None:
        seat = self.seats.get(slot)
        return seat if seat is not None and seat.incarnation == incarnation else None

    @property
    def ready(self) -> list[Seat]:
        """Those who wait to take part, by slot."""
        waiting = [seat for seat in self.seats.values() if seat.state == "ready" and not seat.leaving]
        return sorted(waiting, key=lambda seat: seat.slot)

    def alive(self, workers: tuple[Worker, ...]) -> list[Seat]:
        return [seat for slot, incarnation in workers if (seat := self.sitting(slot, incarnation)) is not None]

    def turn(self, seat: Seat, state: SeatState) -> None:
        seat.state, seat.since = state, self.now

    def enter(self, phase: Phase, *, within: float = NEVER) -> None:
        self.phase, self.deadline = phase, self.now + within

    def say(self, name: str, **fields: Any) -> None:
        self.out.append(Say(name, fields))

    @property
    def cap(self) -> int:
        """The most workers that the run may employ."""
        return self.most if self.micro_batches is None else min(self.most, self.micro_batches)

    @property
    def spare(self) -> int:
        """1 if a step has a part for one worker more than wanted: for one that must leave and hands its state over."""
        return int(self.micro_batches is not None and self.cap < self.micro_batches)

    @property
    def floor(self) -> int:
        """How many must be ready before a generation can begin without anybody's state."""
        return min(self.least, self.cap)
