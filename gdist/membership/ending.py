"""How a run ends: with the leader's result, or with an error after the most advanced worker has written the last good step."""

from __future__ import annotations

from gdist.errors import GdistError, PeerLost
from gdist.membership.instructions import End, Save
from gdist.membership.state import State

SETTLE_S = 1.0  # for survivors to report after the cause is known
CAUSE_S = 5.0  # for a cause after the first PeerLost, where a death ends the run
SAVE_S = 60.0  # for the checkpoint of the last good step


def over(s: State, end: End) -> None:
    if s.phase != "over":
        s.enter("over")
        s.out.append(end)


def fail(s: State, error: GdistError) -> None:
    """The run ends with ``error``, once the survivors have reported and the last good step is saved."""
    if s.phase in ("settling", "saving", "over"):
        return
    s.error = error
    if not s.members:
        return over(s, End(error=error, step=s.step))  # nothing was trained
    s.enter("settling", within=SETTLE_S)


def suspect(s: State, error: GdistError) -> None:
    """A peer is lost and nobody knows yet why: the death or the error that explains it is on its way."""
    if s.guess is None:
        s.guess, s.deadline = error, min(s.deadline, s.now + CAUSE_S)


def settle(s: State) -> None:
    """From settling to saving, once no worker is left whose report is awaited."""
    waited = any(seat.acts for seat in s.alive(s.members))
    if s.phase == "settling" and (not waited or s.now >= s.deadline):
        save_with_another(s)
    elif s.phase == "saving" and s.now >= s.deadline:
        save_with_another(s, because="it took too long")


def save_with_another(s: State, *, because: str | None = None) -> None:
    """``because``: why the last one could not, if one was asked."""
    if s.saver is not None and (seat := s.sitting(*s.saver)) is not None:
        seat.step = None  # as far as saving goes
    able = [seat for seat in s.seats.values() if seat.step and seat.state in ("failed", "returned", "broken", "left")]
    if able:
        seat = min(able, key=lambda seat: (-(seat.step or 0), seat.slot))
        s.saver = seat.worker
        s.enter("saving", within=SAVE_S)
        s.out.append(Save(*seat.worker, blame=s.blame))
        return
    assert s.error is not None
    note = None
    if because is not None:
        note = f"no checkpoint of the last good step: {because}"
    elif s.step > 0:
        note = "no checkpoint of the last good step: no worker was left to write it"
    if note:
        s.error.note = f"{s.error.note}\n{note}" if s.error.note else note
    over(s, End(error=s.error, step=s.step))


def saved(s: State, step: int, error: GdistError | None, samples: tuple[str, ...]) -> None:
    """The saver has answered."""
    assert s.error is not None
    if samples and s.blame is not None:
        step_of, first, end = s.blame
        s.say("poisoned", step=step_of, micro_batches=[first, end], deaths=2, samples=list(samples), then="stop")
        told = "the samples: " + "; ".join(samples)
        s.error.note = f"{told}\n{s.error.note}" if s.error.note else told
        s.blame = None
    saver = s.sitting(*s.saver) if s.saver is not None else None
    if error is not None or saver is None or saver.step is None:
        return save_with_another(s, because=error.what if error is not None and saver and saver.step is not None else None)
    over(s, End(error=s.error, step=step))


def conclude(s: State) -> bool:
    """Ends the run with the leader's result if it has come to its end and nobody is still at work."""
    if not s.members or any(seat.acts for seat in s.alive(s.members)):
        return False
    leader = s.sitting(*s.members[0])
    if leader is None or leader.state != "returned":
        return False
    over(s, End(result=leader.result, step=leader.step or 0))
    return True


def is_peers(error: GdistError) -> bool:
    """Whether an error only says that somebody else is gone."""
    return isinstance(error, PeerLost)
