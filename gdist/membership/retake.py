"""A restarted controller takes a run up again: the workers say where they stand, and the state is made of that."""

from __future__ import annotations

from typing import cast

from gdist.errors import RunFailed
from gdist.membership.change import change, form
from gdist.membership.ending import fail
from gdist.membership.events import Broken, Entered, Failed, Left, OfWorker, Ready, Retaken, Returned
from gdist.membership.hiring import compare, dismiss
from gdist.membership.instructions import Kill
from gdist.membership.state import Kept, Seat, SeatState, Slot, State

LISTEN_S = 20.0  # for the workers of the newest generation to be heard; who is silent then counts as dead
APART = 1000  # incarnations that one controller may hire in a slot: those of whom nothing was heard are never taken for others
_ORDER: dict[str, int] = {  # of what a worker is within a generation
    "preparing": 0, "ready": 1, "forming": 2, "training": 3, "broken": 4, "left": 4, "returned": 4, "failed": 4,
}  # fmt: skip


def listen(s: State, kept: Kept, *, times: int) -> None:
    s.skip, s.refused_nodes = kept.skip, set(kept.drained)
    s.told_to_leave = {(slot, incarnation): why for slot, incarnation, why in kept.leaving}
    s.restore, s.first_incarnation = True, times * APART
    s.enter("taking up", within=0.0)


def retake(s: State, event: Retaken) -> None:
    """A worker of the run is heard, while the run is taken up; what is older than what is known changes nothing."""
    if (event.slot, event.incarnation) in s.gone:
        return
    seat = s.seats.get(event.slot)
    if seat is not None and (seat.incarnation, seat.generation, _ORDER.get(seat.state, 0)) > (
        event.incarnation, event.generation, _ORDER[event.state]
    ):  # fmt: skip
        return
    slot = s.slots.setdefault(event.slot, Slot(s.first_incarnation))
    slot.incarnations = max(slot.incarnations, event.incarnation + 1)
    seat = Seat(event.slot, event.incarnation, s.now, cast(SeatState, event.state), event.hello, event.hello.get("node"))
    drained = "its node is drained" if seat.node in s.refused_nodes else None
    seat.error, seat.leaving = event.error, s.told_to_leave.get(seat.worker, drained)
    seat.generation, seat.step, seat.result = event.generation, event.step, event.result
    seat.entered = event.generation if event.state in ("training", "returned") else 0
    s.seats[event.slot] = seat
    s.micro_batches = s.micro_batches or event.hello.get("micro_batches")
    s.poisoned = event.hello.get("poisoned", s.poisoned)
    s.step = max(s.step, event.step or 0)
    if event.generation > s.heard:
        s.heard, s.members = event.generation, event.workers
    s.generation = max(s.generation, event.generation)


def _compare(s: State) -> None:
    """Those who are ready are like the members, or, without any, like one of themselves."""
    ready = [seat for seat in s.seats.values() if seat.state == "ready"]
    s.reference = next((seat for seat in [*s.alive(s.members), *ready] if seat.hello), None)
    for seat in ready if s.reference is not None else ():
        compare(s, seat)


def as_report(event: Retaken) -> OfWorker | None:
    """The same, as the worker itself has reported it, or will."""
    who, generation, step = (event.slot, event.incarnation), event.generation, event.step
    if event.state == "ready":
        return Ready(*who, hello=event.hello)
    if event.state == "training":
        return Entered(*who, generation, step or 0)
    if event.state == "broken":
        return Broken(*who, generation, step)
    if event.state == "left":
        return Left(*who, generation, step or 0)
    if event.state == "failed" and event.error is not None:
        return Failed(*who, generation, step, event.error)
    if event.state == "returned":
        return Returned(*who, generation, step or 0, event.result or {})
    return None


def take_up(s: State) -> None:
    """Once all of the newest generation are heard, or the time for it is over: the run goes on from what they said."""
    if not s.listening:  # time runs from the first event: a controller that has just been made may be slow to hear anybody
        s.listening = True
        s.enter("taking up", within=LISTEN_S)
    if s.now >= s.deadline and not s.members:  # they have left it
        s.members = tuple(seat.worker for seat in s.seats.values() if seat.generation == s.heard > 0)
    s.in_force = s.heard
    for seat in s.seats.values():
        if seat.state == "failed" and seat.worker in s.members:
            return fail(s, seat.error or RunFailed(f"worker {seat.slot} failed while the controller was away"))
    silent = [worker for worker in s.members if s.sitting(*worker) is None]
    if s.now < s.deadline and (any(worker not in s.gone for worker in silent) or not s.members):
        return
    _compare(s)
    for seat in [each for each in s.seats.values() if each.is_candidate and each.leaving]:
        dismiss(s, seat)
    if s.phase != "taking up":
        return
    if not s.members:
        return s.enter("waiting")
    for slot, incarnation in silent:
        s.out.append(Kill(slot, incarnation, reason="it was not heard of after the controller was restarted"))
        kept = s.slots.setdefault(slot, Slot(s.first_incarnation))
        kept.incarnations = max(kept.incarnations, incarnation + 1)
    s.lost += [slot for slot, _ in silent]
    members = s.alive(s.members)
    if silent or any(seat.state not in ("training", "returned") or seat.generation != s.heard for seat in members):
        s.broke_at = s.now
        return s.enter("broken", within=LISTEN_S)
    s.enter("training")
    if s.generation > s.heard and all(seat.state == "training" for seat in members):
        change(s)  # one was announced, of which nothing is known: another takes its place
        if s.pending is None:
            s.reason = "the controller was restarted"
            form(s, members, source=members[0], planned=True)
