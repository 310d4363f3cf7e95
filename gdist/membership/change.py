"""Planned changes: who joins, who leaves, at the next boundary of a healthy generation; and forming in general."""

from __future__ import annotations

from gdist.membership.hiring import dismiss, kill
from gdist.membership.instructions import Ask, Form, Worker
from gdist.membership.state import NEVER, Seat, State

GATHER_S = 1.0  # that a ready joiner waits for others which are being prepared, so that they come in one change
FORM_S = 120.0  # for all members to enter a generation
LEARN_S = 1800.0  # the same where they have no state yet: what the job wants to know of its data is learned first
LEAVE_S = 30.0  # for those who have no part in the new generation to have left the old one


def form(s: State, workers: list[Seat], *, source: Seat | None, planned: bool, leaving: tuple[Worker, ...] = ()) -> None:
    """Announces the next generation."""
    s.generation += 1
    ranks = tuple(seat.worker for seat in workers)
    _check(s, workers, source, ranks, planned=planned)
    reason = s.reason or _lost(s.lost) or ("start" if s.step == 0 else "restored" if source is None else "a connection broke")
    rank = None if source is None else ranks.index(source.worker)
    restore = source is None and s.restore
    order = Form(s.generation, ranks, rank, restore, planned, reason, leaving=leaving, skip=s.skip)
    for seat in workers:
        if not (planned and seat.acts and seat.worker in s.members):
            seat.generation = s.generation
            s.turn(seat, "forming")
    s.reason, s.waiting = "", ""
    if len(workers) == s.cap:
        s.asked = ""
    s.out.append(order)
    s.vain += 1
    if planned:
        s.pending = order
        return
    s.pending, s.members, s.in_force, s.lost = None, ranks, s.generation, []
    if source is None:
        s.begins, s.mark = True, s.begun
    s.restore = True
    s.enter("forming", within=FORM_S if source is not None else LEARN_S)
    for wish, why in s.wishes.items():
        s.out.append(Ask(wish, why))
    s.wishes = {wish: why for wish, why in s.wishes.items() if wish == "stop"}


def _check(s: State, workers: list[Seat], source: Seat | None, ranks: tuple[Worker, ...], *, planned: bool) -> None:
    """The invariants of a generation; a violation is a mistake of this state machine."""
    newest = max((seat.generation for seat in s.seats.values()), default=0)
    assert workers, "invariant: a generation has members"
    assert len(set(ranks)) == len(ranks), "invariant: a worker is a member once"
    assert newest < s.generation, "invariant: generations only grow (a worker never acts for one after it has seen the next)"
    if planned:
        assert source is not None, "invariant: a planned change has a source"
        assert source.worker in s.members, "invariant: a planned change keeps a member"
    elif source is not None:
        best = max((seat.step or 0 for seat in workers), default=0)
        assert (source.step or 0) >= best, "invariant: the most advanced is the source of the state"
    else:
        assert not any(seat.step for seat in s.seats.values()), (
            "invariant: the committed step goes back only if no state is left"
        )


def change(s: State) -> None:
    """Joiners in, leavers out, where the members are all at work and no change is under way."""
    if s.pending is not None:
        return _mend(s, s.pending)
    members = s.alive(s.members)
    assert members, "invariant: a run that trains has a member that lives"
    if any(seat.state != "training" for seat in members):
        return  # some are at their end
    staying = [seat for seat in members if not seat.leaving][: s.cap]
    joiners = _joiners(s)[: max(s.cap - len(staying), 0)]
    if len(staying) == len(members) and not joiners:
        return
    if not staying:
        joiners = joiners[: s.cap + s.spare - 1]
        if not joiners:
            return _drain(s, members)
        staying = members[:1]  # it hands its state over, and leaves with the next change
    leaving = [seat for seat in members if seat not in staying]
    s.reason = s.asked or _reason(joiners, leaving)
    form(s, [*staying, *joiners], source=staying[0], planned=True, leaving=tuple(seat.worker for seat in leaving))


def _joiners(s: State) -> list[Seat]:
    return s.ready if gathered(s, s.ready) else []


def gathered(s: State, ready: list[Seat]) -> bool:
    """Whether those who are ready need not wait for others any longer."""
    coming = any(seat.state == "preparing" for seat in s.seats.values())
    return bool(ready) and (not coming or s.now >= min(seat.since for seat in ready) + GATHER_S)


def gather_wakes_at(s: State) -> float:
    ready = [seat.since + GATHER_S for seat in s.seats.values() if seat.state == "ready"]
    return min((time for time in ready if time > s.now), default=NEVER) if s.phase in ("training", "waiting") else NEVER


def _mend(s: State, pending: Form) -> None:
    """A joiner that was announced is gone before the members have made the change: they are told of another."""
    there = s.alive(pending.workers)
    if len(there) == len(pending.workers):
        return
    there = [seat for seat in there if seat.worker in s.members or not seat.leaving]
    if not any(seat.worker in s.members for seat in there):
        s.pending = None  # nobody is left who could make it: what the others say decides
        return
    s.reason = pending.reason
    form(s, there, source=there[0], planned=True, leaving=pending.leaving)


def _drain(s: State, members: list[Seat]) -> None:
    """All must leave and nobody is there to take over: they save, and who comes next begins from that."""
    if not s.drained and members:
        s.drained = True
        s.out.append(Ask("drain", members[0].leaving or ""))


def made(s: State) -> None:
    """The members have made the planned change: they are in the new generation or on their way into it."""
    assert s.pending is not None
    s.members, s.in_force, s.pending = s.pending.workers, s.pending.generation, None
    if "stop" in s.wishes:  # the one that was told may have left before it could act
        s.out.append(Ask("stop", s.wishes["stop"]))
    s.enter("forming", within=FORM_S)


def formed(s: State) -> None:
    """All members have entered: nobody else's state is needed any more."""
    s.enter("training")
    s.drained = False


def send_away(s: State) -> None:
    """Those whom the generation in force does without go, once they have left the one before."""
    for seat in list(s.seats.values()):
        if seat.worker in s.members or seat.is_candidate or (s.pending is not None and seat.worker in s.pending.workers):
            continue
        if seat.acts and s.pending is None and s.now >= seat.since + LEAVE_S and seat.generation < s.generation:
            kill(s, seat, "it has not left the generation that the others have left")
        elif seat.state in ("left", "broken", "returned"):
            dismiss(s, seat)


def _reason(joiners: list[Seat], leaving: list[Seat]) -> str:
    parts = [f"{_names(joiners)} joined"] if joiners else []
    if leaving:
        why = leaving[0].leaving
        parts.append(f"{_names(leaving)} left" + (f" ({why})" if why else ""))
    return "; ".join(parts)


def _lost(slots: list[int]) -> str:
    names = [f"worker {slot}" for slot in sorted(set(slots))]
    return f"{' and '.join(names)} {'was' if len(names) == 1 else 'were'} lost" if names else ""


def _names(seats: list[Seat]) -> str:
    return ", ".join(f"worker {seat.slot}" for seat in seats)
