"""How many workers a run has, and who is hired: within its bounds, with growing pauses, never for ever in vain."""

from __future__ import annotations

from typing import Any

from gdist.errors import DeadlineExceeded, GdistError, RunFailed, UsageError, WorkerLost
from gdist.membership.ending import fail, over
from gdist.membership.instructions import Dismiss, End, Hire, Kill
from gdist.membership.state import NEVER, Seat, Slot, State

PREPARE_S = 1800.0  # job, model and data; a first use may download
PAUSES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # before a slot's next worker, by how many of the last ones came to nothing
SOON_S = 60.0  # a worker that is lost sooner after it took part has come to nothing too
TRIES = 5  # losses in a row before they took part, until other nodes are tried; twice that: it is given up
FIRST_TRIES = 3  # the same of one slot, where nobody has ever taken part: it is the job, not a node
UNPLACED_S = 5.0  # until it is said that there is no room
VERSIONS = ("job", "code", "data", "torch", "gdist", "micro_batches", "dtype", "probe")
_IN_WORDS = {"probe": "the bits of a reference micro-batch's gradient"}


def hire(s: State) -> None:
    """Gives out as many seats as are wanted: at once up to the least, beyond it one placement at a time."""
    if s.phase in ("settling", "saving", "over", "taking up") or (not s.live and s.phase != "starting"):
        return
    if any(seat.state == "returned" for seat in s.seats.values()):
        return  # the run is at its end
    if "stop" in s.wishes or len(s.barren) >= 2 * TRIES:
        return
    staying = [seat for seat in s.seats.values() if not seat.leaving and seat.state not in ("left", "failed")]
    unplaced = sum(seat.state == "hired" for seat in staying)
    count = len(staying)
    target = s.cap if s.live else s.least
    for number in range(target + len(s.seats)):  # those who must leave keep their slots until they are gone
        if count >= target or (count >= s.least and unplaced):
            break
        slot = s.slots.setdefault(number, Slot(s.first_incarnation))
        if number in s.seats:
            continue
        if s.now < slot.hire_at:
            count += 1  # its turn comes
            continue
        incarnation = slot.incarnations
        slot.incarnations += 1
        s.seats[number] = Seat(number, incarnation, s.now)
        s.out.append(Hire(number, incarnation, avoid=avoided(s)))
        if incarnation or s.generation:
            s.say("worker_hired", worker=number, incarnation=incarnation)
        count, unplaced = count + 1, unplaced + 1


def avoided(s: State) -> tuple[str, ...]:
    broken = {node for node, _ in s.barren if node is not None} if len(s.barren) >= TRIES else set()
    return tuple(sorted(s.refused_nodes | s.unfit_nodes | broken))


def dismiss(s: State, seat: Seat) -> None:
    """The worker goes; its seat is free."""
    s.out.append(Dismiss(*seat.worker))
    s.gone.add(seat.worker)
    s.seats.pop(seat.slot, None)


def kill(s: State, seat: Seat, reason: str) -> None:
    """The worker is given up; its seat is free."""
    s.out.append(Kill(*seat.worker, reason=reason))
    s.seats.pop(seat.slot)


def lost(s: State, seat: Seat, why: GdistError) -> None:
    """A worker is gone without having been sent away or told to leave: its slot waits a little before the next one."""
    if seat.leaving:
        return
    slot = s.slots.setdefault(seat.slot, Slot(s.first_incarnation))
    barren = not seat.entered
    slot.barren = slot.barren + 1 if barren or s.now - seat.entered_at < SOON_S else 0
    slot.hire_at = s.now + PAUSES_S[min(max(slot.barren - 1, 0), len(PAUSES_S) - 1)]
    if barren:
        s.barren.append((seat.node, why))
        if len(s.barren) >= 2 * TRIES or (not s.members and slot.barren >= FIRST_TRIES):
            _give_up(s)


def _give_up(s: State) -> None:
    why = s.barren[-1][1]
    told = f"{len(s.barren)} workers in a row were lost before they took part"
    if not s.members or s.phase in ("starting", "waiting"):
        nodes = sorted({node for node, _ in s.barren if node is not None})
        fail(s, WorkerLost(told, where=", ".join(nodes) or None, note=f"the last one: {why}", help="see its last lines"))
    elif len(s.barren) == 2 * TRIES:
        s.say("explained", text=f"no more workers are hired: {told}; the last one: {why.what}")


def end_overdue(s: State) -> None:
    """Preparing has a bound."""
    for seat in list(s.seats.values()):
        if seat.state == "preparing" and s.now >= seat.since + PREPARE_S:
            error = DeadlineExceeded(f"worker {seat.slot} did not prepare job, model and data within {PREPARE_S:.0f} s")
            if not s.members:
                return over(s, End(error=error))
            kill(s, seat, error.what)
            lost(s, seat, error)


def admit(s: State, seat: Seat, hello: dict[str, Any]) -> None:
    """A worker is prepared: it is taken if it is of the same job, code, versions and data as the first."""
    seat.hello, seat.node = hello, hello.get("node", seat.node)
    s.turn(seat, "ready")
    first = s.micro_batches is None
    s.micro_batches = s.micro_batches or int(hello["micro_batches"])
    s.poisoned = hello.get("poisoned", "stop")
    if first and s.given and s.least > s.micro_batches:
        return over(s, End(error=_too_many(s.least, s.micro_batches)))
    if s.reference is None:
        s.reference = seat
    compare(s, seat)
    if first and s.phase in ("starting", "waiting"):
        for other in [each for each in s.seats.values() if each.slot >= s.cap]:
            dismiss(s, other)  # the job has too few micro-batches for them


def compare(s: State, seat: Seat) -> None:
    """A worker that is ready must be like the first."""
    assert s.reference is not None
    difference = differences(s.reference.hello.get("proof") or {}, seat.hello.get("proof") or {})
    if difference and s.generation == 0 and s.phase == "starting":
        over(s, End(error=_differ(s.reference, seat, difference)))
    elif difference:
        refuse(s, seat, RunFailed(f"worker {seat.slot} is not like the others: {difference}"))


def refuse(s: State, seat: Seat, error: GdistError) -> None:
    """A worker that was never a member cannot become one; the run goes on with the others."""
    s.say("worker_refused", worker=seat.slot, host=seat.hello.get("host"), reason=error.what)
    if seat.node is not None:
        s.unfit_nodes.add(seat.node)
    dismiss(s, seat)
    lost(s, seat, error)


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """In words, what two proofs differ in; empty: nothing."""
    names = [*VERSIONS, *sorted((ours.keys() | theirs.keys()) - set(VERSIONS))]
    return ", ".join(
        f"{name} {theirs[name]} (the others: {ours[name]})"
        if name in ("torch", "gdist", "micro_batches", "dtype")
        else _IN_WORDS.get(name, name)
        for name in names
        if name in ours and name in theirs and ours[name] != theirs[name]
    )


def look_for_room(s: State) -> None:
    """Says once for whom there is no room, as long as that holds the run up."""
    if s.phase == "over":
        return
    unplaced = [seat.slot for seat in s.seats.values() if seat.state == "hired" and s.now - seat.since >= UNPLACED_S]
    needed = s.phase in ("starting", "waiting") and unplaced
    named = " and ".join(f"worker {slot}" for slot in sorted(unplaced))
    text = f"room for {named}, and for {'its process' if len(unplaced) == 1 else 'their processes'} to start" if needed else ""
    if text and text != s.waiting:
        s.say("waiting", what=text)
    s.waiting = text


def hiring_wakes_at(s: State) -> float:
    """When something must be done about those who are not yet members."""
    times = [seat.since + UNPLACED_S for seat in s.seats.values() if seat.state == "hired" and s.now < seat.since + UNPLACED_S]
    times += [seat.since + PREPARE_S for seat in s.seats.values() if seat.state == "preparing"]
    times += [slot.hire_at for number, slot in s.slots.items() if number not in s.seats and slot.hire_at > s.now]
    return min(times, default=NEVER)


def _too_many(workers: int, micro_batches: int) -> UsageError:
    return UsageError(
        f"{workers} workers are too many for this job: a step has {micro_batches} micro-batches",
        where=f"--workers {workers}",
        help=f"ask for at most {micro_batches}, or set micro_batches={workers} in the job (it is part of its mathematics)",
    )


def _differ(first: Seat, seat: Seat, difference: str) -> RunFailed:
    return RunFailed(
        f"workers {first.slot} and {seat.slot} do not compute the same: they differ in {difference}",
        where=" and ".join(str(each.hello.get("host", each.node)) for each in (first, seat)),
        help="give all nodes the same code, data and versions",
    )
