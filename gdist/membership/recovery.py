"""After a break: who survives, whose state counts, what comes of it. A loop to a fixed point: a fault in it starts it anew."""

from __future__ import annotations

from gdist.errors import GdistError, RunFailed, WorkerLost
from gdist.membership.change import form, gathered
from gdist.membership.ending import SAVE_S, conclude, fail, over
from gdist.membership.hiring import dismiss, kill, lost
from gdist.membership.instructions import End, Save
from gdist.membership.state import NEVER, Seat, State

REPORT_S = 60.0  # for the members of a broken generation to say so: more than they need to give up on their peers
VOID_S = 1.0  # the same, where the generation can never have acted
STALLED = 8  # deaths of members without a step between them
VAIN = 40  # generations without a step between them
NAME_S = 60.0  # for a new worker to be there that names the samples of which all others have died
PAUSES_S = (0.0, 0.0, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0)  # before the next one, by how many there were


def broke(s: State) -> None:
    """The generation in force is over: everybody's report is awaited."""
    if s.phase in ("training", "forming"):
        s.enter("broken", within=REPORT_S)
        s.broke_at = s.now


def recover(s: State) -> None:
    """Forms the next generation of those who are left, once it is known where each of them stands."""
    if any(seat.state == "failed" and seat.worker in s.members for seat in s.seats.values()):
        return  # the run is about to fail
    unaccounted = [seat for seat in s.seats.values() if seat.acts]
    if unaccounted:
        void = _is_void(s) and all(_never_acted(s, seat) for seat in unaccounted) and bool(_able(s))
        joiners = all(seat.step is None and not seat.silences for seat in unaccounted)
        if s.now < (s.deadline if not void else s.broke_at if joiners else s.broke_at + VOID_S):
            return
        for seat in unaccounted:
            seat.silences += 1
            if void and seat.silences == 1:  # its generation never came to be, and it may still be on its way there
                s.turn(seat, "ready" if seat.step is None else "broken")
            else:
                _give_up_on(s, seat)
    if _poisoned(s) or _stalled(s) or conclude(s) or s.now < _next_form_at(s):
        return
    _form(s)


def _give_up_on(s: State, seat: Seat) -> None:
    kill(s, seat, "it does not say where it stands")
    s.lost.append(seat.slot)
    lost(s, seat, WorkerLost(f"worker {seat.slot} did not say where it stands"))


def _next_form_at(s: State) -> float:
    return s.broke_at + PAUSES_S[min(s.vain, len(PAUSES_S) - 1)]


def recovery_wakes_at(s: State) -> float:
    """When a break is to be looked at again."""
    if s.phase != "broken":
        return NEVER
    return min((time for time in (s.broke_at + VOID_S, _next_form_at(s)) if time > s.now), default=NEVER)


def _form(s: State) -> None:
    able = _able(s)
    if not able:
        for seat in [each for each in s.seats.values() if each.state in ("broken", "left", "returned")]:
            if seat.leaving or seat.state == "left":
                dismiss(s, seat)
            else:
                s.turn(seat, "ready")  # it never had the run's state
        s.pending = None
        return s.enter("waiting")
    source = min(
        able, key=lambda seat: (-(seat.step or 0), bool(seat.leaving), seat.state == "left", _rank(s, seat), seat.slot)
    )
    staying = [seat for seat in able if seat is source or not (seat.leaving or seat.state == "left")]
    staying += [seat for seat in s.seats.values() if seat.state == "broken" and seat.step is None and not seat.leaving]
    if source.leaving and len(staying) + len(s.ready) == 1:
        return s.enter("waiting")  # it must leave, and nobody is there to take its state over
    staying.sort(key=lambda seat: (_rank(s, seat), seat.slot))
    room = s.cap + s.spare if source.leaving else s.cap
    if source.leaving and len(staying) == 1 == room:  # a step has no part for a second one
        dismiss(s, source)
        return s.enter("waiting")
    form(s, [*staying, *s.ready][: max(room, len(staying))], source=source, planned=False)


def begin(s: State) -> None:
    """The first generation: once the least number of workers is ready. The next after nobody was left: with whoever is."""
    able, ready = _able(s), s.ready
    if s.blame is not None and s.guess is not None:
        return _have_named(s, ready, s.guess)
    if s.phase == "waiting" and "stop" in s.wishes:
        return over(s, End(reason=s.wishes["stop"], step=None if s.step else 0))
    if able and ready and s.phase == "waiting":
        return _form(s)
    enough = len(ready) >= s.floor or (s.phase == "waiting" and s.generation > 0 and gathered(s, ready))
    if not able and s.micro_batches is not None and enough:
        form(s, ready[: s.cap], source=None, planned=False)


def _have_named(s: State, ready: list[Seat], error: GdistError) -> None:
    """Nobody is left who could say of which samples all have died: the first that comes does, and the run ends."""
    if ready:
        s.error, s.saver = error, ready[0].worker
        s.enter("saving", within=SAVE_S)
        s.out.append(Save(*ready[0].worker, blame=s.blame))
    elif s.now >= s.deadline:
        fail(s, error)


def _able(s: State) -> list[Seat]:
    """Those who wait and have state."""
    return [seat for seat in s.seats.values() if seat.state in ("broken", "left", "returned") and seat.step is not None]


def _rank(s: State, seat: Seat) -> int:
    return s.members.index(seat.worker) if seat.worker in s.members else len(s.members)


def _is_void(s: State) -> bool:
    """Whether the newest generation can never have acted: one of its members waits elsewhere and has not entered it."""
    workers = s.pending.workers if s.pending is not None else s.members
    return any(not seat.acts and seat.entered < s.generation for seat in s.alive(workers))


def _never_acted(s: State, seat: Seat) -> bool:
    return seat.state == "forming" and seat.generation == s.generation > seat.entered


def _poisoned(s: State) -> bool:
    """Two workers died in the same micro-batches of the same step."""
    overlap = next(
        (
            (step, max(first, other), min(end, another))
            for i, (step, first, end) in enumerate(s.places)
            for same, other, another in s.places[:i]
            if step == same and max(first, other) < min(end, another)
        ),
        None,
    )
    if overlap is None or overlap in s.skip:
        return False
    step, first, end = overlap
    if s.poisoned == "skip":
        s.skip, s.places = (*s.skip, overlap), []
        s.say("poisoned", step=step, micro_batches=[first, end], deaths=2, then="skip")
        return False
    last = s.stalled[-1] if s.stalled else None
    parts = f"micro-batch {first}" if end == first + 1 else f"micro-batches {first} to {end - 1}"
    error = WorkerLost(
        f"two workers died in the same place: step {step}, {parts}",
        note="\n".join(filter(None, (last.what, last.note))) if last is not None else None,
        help="look at these samples, or let the job skip them: poisoned='skip'",
    )
    s.blame = overlap
    if _able(s):
        fail(s, error)
    else:
        s.guess = error
        s.enter("waiting", within=NAME_S)
    return True


def _stalled(s: State) -> bool:
    if s.vain >= VAIN:
        fail(s, RunFailed(f"{s.vain} generations in a row broke before they took a step", help="see the workers' last lines"))
        return True
    if len(s.stalled) < STALLED:
        return False
    fail(
        s, WorkerLost(f"{len(s.stalled)} workers were lost without a step between them", note=f"the last one: {s.stalled[-1]}")
    )
    return True
