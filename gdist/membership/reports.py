"""What workers say, and what is said of them: the facts are noted; what follows is decided elsewhere."""

from __future__ import annotations

from gdist.errors import GdistError, PeerLost
from gdist.membership import events as ev
from gdist.membership.change import made
from gdist.membership.ending import fail, is_peers, over, saved, suspect
from gdist.membership.hiring import admit, dismiss, lost, refuse
from gdist.membership.instructions import Ask, End
from gdist.membership.recovery import broke
from gdist.membership.state import Seat, State

END_S = 1860.0  # from the first worker's end to the last one's: a callback of the leader's may take 1800 s


def hear(s: State, seat: Seat, event: ev.OfWorker) -> None:
    """What the worker in ``seat`` has said, or what became of it."""
    if isinstance(event, ev.Placed):
        seat.node = event.node
        if seat.state == "hired":
            s.turn(seat, "preparing")
    elif isinstance(event, ev.Ready):
        if seat.state in ("hired", "preparing"):
            admit(s, seat, event.hello)
    elif isinstance(event, ev.Died):
        died(s, seat, event)
    elif isinstance(event, ev.Leaving):
        must_leave(s, seat, event.reason)
    elif isinstance(event, ev.Saved):
        if s.phase == "saving" and seat.worker == s.saver:
            saved(s, event.step, event.error, event.samples)
    elif (seat.acts and event.generation >= seat.generation) or _is_its_own_doing(seat, event):
        _stands(s, seat, event)


def _is_its_own_doing(seat: Seat, event: ev.OfWorker) -> bool:
    """Whether a worker has failed as nobody can make good by forming another generation, be that on its way already."""
    return isinstance(event, ev.Failed) and (seat.is_candidate or (seat.acts and not is_peers(event.error)))


def _stands(s: State, seat: Seat, event: ev.Entered | ev.Left | ev.Broken | ev.Returned | ev.Failed) -> None:
    """A worker says where it stands, of its present generation or a newer one."""
    if isinstance(event, ev.Entered) and event.generation <= seat.entered:
        return  # said twice
    seat.generation = max(seat.generation, event.generation)
    if s.pending is not None and event.generation == s.pending.generation and isinstance(event, ev.Entered):
        made(s)
    if event.step is not None:
        s.step = max(s.step, event.step)
        if event.step > s.mark:
            s.mark, s.stalled, s.vain = event.step, [], 0
        if s.begins and event.generation == s.in_force:
            s.begins, s.begun, s.mark = False, event.step, event.step
        seat.step = event.step
    if isinstance(event, ev.Entered):
        if not seat.entered:
            s.barren = []
        seat.entered, seat.entered_at = event.generation, s.now
        s.turn(seat, "training")
    elif isinstance(event, ev.Left):
        s.turn(seat, "left")
    elif isinstance(event, ev.Broken):
        s.turn(seat, "broken")
        broke(s)
        if not s.live:
            suspect(s, PeerLost("a worker of this generation is gone"))
    elif isinstance(event, ev.Returned):
        _returned(s, seat, event)
    else:
        _failed(s, seat, event.error)


def _returned(s: State, seat: Seat, event: ev.Returned) -> None:
    seat.result = event.result
    s.turn(seat, "left" if s.drained else "returned")
    if s.drained:
        broke(s)
    elif s.phase in ("training", "forming"):
        s.deadline = min(s.deadline, s.now + END_S)


def _failed(s: State, seat: Seat, error: GdistError) -> None:
    joiner = not seat.entered and (seat.is_candidate or seat.step is None) and bool(s.step or s.pending)
    if is_peers(error):
        s.turn(seat, "broken")
        broke(s)
        if not s.live:
            suspect(s, error)
        return
    seat.error = error
    if joiner and s.live and s.phase != "waiting":
        seat.state = "failed"
        refuse(s, seat, error)
        return broke(s) if seat.worker in s.members else None
    s.turn(seat, "failed")
    fail(s, error)


def died(s: State, seat: Seat, event: ev.Died) -> None:
    """A worker is gone; if it was a member at work, the generation breaks."""
    if s.phase == "saving" and seat.worker == s.saver:
        s.seats.pop(seat.slot)
        s.deadline = s.now
        return
    member = seat.worker in s.members
    leader = member and seat.worker == s.members[0]
    s.seats.pop(seat.slot)
    if seat.state in ("left", "failed") or (seat.state == "returned" and not leader):
        return  # its part was done
    if not s.live or s.phase == "settling":
        return fail(s, event.error)
    lost(s, seat, event.error)
    if member:
        s.lost.append(seat.slot)
        if not seat.leaving:  # else its end was on its way, wherever it was
            s.stalled.append(event.error)
            s.places += [event.place] if event.place is not None else []
        broke(s)
    elif seat.acts and s.pending is not None and seat.worker in s.pending.leaving:
        broke(s)


def must_leave(s: State, seat: Seat, reason: str) -> None:
    """A worker is to leave at the next boundary; one that has no part yet goes at once."""
    if seat.leaving is None:
        seat.leaving = s.told_to_leave[seat.worker] = reason
        s.say("leaving", worker=seat.slot, host=seat.hello.get("host"), reason=reason)
    if seat.is_candidate:
        dismiss(s, seat)


def scale(s: State, event: ev.Scale) -> None:
    """Other bounds; joiners beyond them are sent away."""
    s.least, s.most = event.least, event.most
    s.asked = event.reason if len(s.alive(s.members)) != s.cap else ""
    s.barren, s.unfit_nodes = [], set()
    for seat in [each for each in s.seats.values() if each.is_candidate and each.slot >= s.cap]:
        dismiss(s, seat)


def wish(s: State, event: ev.WishRaised) -> None:
    """The members are asked, now or when there are some again."""
    if event.wish == "stop" and (not s.members or s.phase == "waiting"):
        return over(s, End(reason=event.reason, step=None if s.step else 0))
    if s.phase in ("training", "forming"):
        s.out.append(Ask(event.wish, event.reason))
    if event.wish == "stop" or s.phase not in ("training", "forming"):
        s.wishes.setdefault(event.wish, event.reason)
