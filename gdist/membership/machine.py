"""The state machine: events in, instructions out. It decides alone who is a member of a run, and when that changes.

Invariants (asserted where a generation is announced): generations only grow; the state that goes on is the most advanced that
is left; the committed step goes back only if no state is left at all; every wait has a deadline (``wake_at``), but for room in
the cluster, which ``waiting`` names.
"""

from __future__ import annotations

from gdist.errors import DeadlineExceeded
from gdist.membership import events as ev
from gdist.membership.change import LEAVE_S, change, formed, gather_wakes_at, send_away
from gdist.membership.ending import conclude, fail, over, settle
from gdist.membership.hiring import end_overdue, hire, hiring_wakes_at, kill, look_for_room
from gdist.membership.instructions import End, Instruction
from gdist.membership.recovery import begin, broke, recover, recovery_wakes_at
from gdist.membership.reports import END_S, hear, must_leave, scale, wish
from gdist.membership.retake import as_report, listen, retake, take_up
from gdist.membership.state import NEVER, Kept, Phase, Seat, State

AGAIN_S = 0.01  # between two looks at the same time
RESTS = 50  # steps of one decision, at most


class Machine:
    """``least`` to ``most`` workers; ``given``: the number is the user's own. ``live``: false where a death ends the run.
    ``resume``: the first generation begins from the newest good checkpoint. ``generation``: the run's last one so far.
    ``taking_up``: how often the run's controller was restarted: it is at work already; ``kept``: what the last one knew."""

    def __init__(
        self,
        *,
        least: int,
        most: int,
        given: bool,
        live: bool = True,
        resume: bool = False,
        generation: int = 0,
        taking_up: int = 0,
        kept: Kept | None = None,
        now: float,
    ) -> None:
        self._s = State(least=least, most=most, given=given, live=live, restore=resume, generation=generation, now=now)
        if taking_up:
            listen(self._s, kept or Kept(), times=taking_up)

    def start(self, *, now: float) -> list[Instruction]:
        """The first hires; ``on(Tick())`` does the same."""
        return self.on(ev.Tick(), now=now)

    def on(self, event: ev.Event, *, now: float) -> list[Instruction]:
        """What follows from ``event`` at ``now`` (monotonic s)."""
        s = self._s
        if s.phase == "over":
            return []
        s.now, s.out = max(now, s.now), []
        self._note(event)
        for _ in range(RESTS):
            before = s.phase, len(s.out)
            self._advance()
            if before == (s.phase, len(s.out)):
                return s.out
        raise AssertionError(f"invariant: decisions come to rest ({s.phase})")

    # -- what has happened --

    def _note(self, event: ev.Event) -> None:
        s = self._s
        if isinstance(event, ev.Scale):
            scale(s, event)
        elif isinstance(event, ev.DrainNode):
            s.refused_nodes.add(event.node)
            for seat in [each for each in s.seats.values() if each.node == event.node]:
                must_leave(s, seat, event.reason)
        elif isinstance(event, ev.WishRaised):
            wish(s, event)
        elif isinstance(event, ev.Trouble):
            s.error = s.error or event.error
            over(s, End(error=s.error, step=s.step))
        elif isinstance(event, ev.Retaken) and s.phase == "taking up":
            retake(s, event)
        elif isinstance(event, ev.Retaken):
            report = as_report(event)
            if report is not None:
                self._note(report)
        elif not isinstance(event, ev.Tick):
            if isinstance(event, ev.Died):
                s.gone.add((event.slot, event.incarnation))
            speaker = s.sitting(event.slot, event.incarnation)
            if speaker is not None:
                speaker.silences = 0
                hear(s, speaker, event)

    # -- what follows --

    def _advance(self) -> None:
        s = self._s
        end_overdue(s)
        if s.phase == "over":
            return
        if s.phase in ("starting", "waiting"):
            begin(s)
        elif s.phase == "taking up":
            take_up(s)
        elif s.phase in ("forming", "training"):
            self._run()
        elif s.phase == "broken":
            if not s.live:
                if s.now >= s.deadline and s.guess is not None:
                    fail(s, s.guess)
            else:
                recover(s)
        elif s.phase in ("settling", "saving"):
            settle(s)
        hire(s)
        look_for_room(s)

    def _run(self) -> None:
        s = self._s
        if conclude(s):
            return
        members = s.alive(s.members)
        if s.now >= s.deadline:
            return self._too_late(members)
        if s.phase == "forming" and all(seat.state == "training" and seat.entered == s.in_force for seat in members):
            formed(s)
        if s.phase == "training":
            send_away(s)
            if s.live:
                change(s)
        if s.phase != "over" and members and not any(seat.acts for seat in members):
            broke(s)  # all have come to their end, but for the leader, which was lost

    def _too_late(self, members: list[Seat]) -> None:
        s = self._s
        late = [seat for seat in members if seat.acts]
        if not s.live:
            who = ", ".join(f"worker {seat.slot}" for seat in late) or "a worker"
            return fail(s, DeadlineExceeded(f"{who} did not come to the end after the first had within {END_S:.0f} s"))
        for seat in late:
            kill(s, seat, "the others have long been at their end")
        broke(s)

    # -- to be read --

    @property
    def phase(self) -> Phase:
        return self._s.phase

    @property
    def generation(self) -> int:
        """The newest that was announced."""
        return self._s.generation

    @property
    def members(self) -> tuple[tuple[int, int], ...]:
        """(slot, incarnation) by rank of the generation in force."""
        return self._s.members

    @property
    def is_changing(self) -> bool:
        """Whether a planned change was announced that the members have not yet made."""
        return self._s.pending is not None

    @property
    def seats(self) -> dict[int, Seat]:
        """By slot, everybody who lives."""
        return self._s.seats

    @property
    def waiting(self) -> str:
        """What the run waits for; empty: nothing."""
        return self._s.waiting

    @property
    def step(self) -> int:
        """The highest step that is known to be committed."""
        return self._s.step

    @property
    def to_keep(self) -> Kept:
        """What no worker could tell a controller that takes the run up."""
        s = self._s
        return Kept(s.skip, tuple(sorted(s.refused_nodes)), tuple((*worker, why) for worker, why in s.told_to_leave.items()))

    @property
    def wake_at(self) -> float:
        """When a ``Tick`` is due (monotonic s) if nothing happens before."""
        s = self._s
        leaving = [seat.since + LEAVE_S for seat in s.seats.values() if seat.acts and seat.worker not in s.members]
        soon = min((time for time in leaving if time > s.now), default=NEVER)
        soonest = min(s.deadline, hiring_wakes_at(s), gather_wakes_at(s), recovery_wakes_at(s), soon)
        return max(soonest, s.now + AGAIN_S)

    def employs(self, slot: int, incarnation: int) -> bool:
        """Whether the worker has a part in the run, or may still get one."""
        s = self._s
        return s.sitting(slot, incarnation) is not None or (s.phase == "taking up" and (slot, incarnation) not in s.gone)
