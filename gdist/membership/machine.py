"""The state machine: events in, instructions out. It decides alone who is a member of a run, and when that changes.

Invariants (asserted where a generation is announced): generations only grow; the state that goes on is the most advanced that
is left; the committed step goes back only if no state is left at all; every wait has a deadline (``wake_at``), but for room in
the cluster, which ``waiting`` names.
"""

from __future__ import annotations

from gdist.errors import DeadlineExceeded, GdistError, PeerLost
from gdist.membership import events as ev
from gdist.membership.change import LEAVE_S, change, formed, gather_wakes_at, made, send_away
from gdist.membership.ending import conclude, fail, is_peers, over, saved, settle, suspect
from gdist.membership.hiring import PREPARE_S, admit, dismiss, hire, hiring_wakes_at, look_for_room, lost, refuse
from gdist.membership.instructions import Ask, End, Instruction, Kill
from gdist.membership.recovery import begin, broke, recover, recovery_wakes_at
from gdist.membership.retake import as_report, listen, retake, take_up
from gdist.membership.state import NEVER, Phase, Seat, State

AGAIN_S = 0.01  # between two looks at the same time
RESTS = 50  # steps of one decision, at most
END_S = 120.0  # from the first worker's end to the last one's


class Machine:
    """``least`` to ``most`` workers; ``given``: the number is the user's own. ``live``: false where a death ends the run.
    ``resume``: the first generation begins from the newest good checkpoint. ``poisoned``: "stop" or "skip". ``generation``: the
    run's last one so far. ``taking_up``: how often the run's controller was restarted: it is at work already.
    ``skip``: (step, first, one past the last) of micro-batches that were left out so far."""

    def __init__(
        self,
        *,
        least: int,
        most: int,
        given: bool,
        live: bool = True,
        resume: bool = False,
        poisoned: str = "stop",
        generation: int = 0,
        taking_up: int = 0,
        skip: tuple[tuple[int, int, int], ...] = (),
        now: float,
    ) -> None:
        self._s = State(
            least=least, most=most, given=given, live=live, restore=resume, poisoned=poisoned, generation=generation, now=now
        )
        self._s.skip = skip
        if taking_up:
            listen(self._s, times=taking_up)

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
            self._scale(event)
        elif isinstance(event, ev.DrainNode):
            s.refused_nodes.add(event.node)
            for seat in [each for each in s.seats.values() if each.node == event.node]:
                self._leaving(seat, event.reason)
        elif isinstance(event, ev.WishRaised):
            self._wish(event)
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
            speaker = s.sitting(event.slot, event.incarnation)
            if speaker is not None:
                speaker.silences = 0
                self._of_worker(speaker, event)

    def _of_worker(self, seat: Seat, event: ev.OfWorker) -> None:
        s = self._s
        if isinstance(event, ev.Placed):
            seat.node = event.node
            if seat.state == "hired":
                s.turn(seat, "preparing")
        elif isinstance(event, ev.Ready):
            if seat.state in ("hired", "preparing"):
                admit(s, seat, event.hello)
        elif isinstance(event, ev.Died):
            self._died(seat, event)
        elif isinstance(event, ev.Leaving):
            self._leaving(seat, event.reason)
        elif isinstance(event, ev.Saved):
            if s.phase == "saving" and seat.worker == s.saver:
                saved(s, event.step, event.error, event.samples)
        elif (isinstance(event, ev.Failed) and seat.is_candidate) or (event.generation >= seat.generation and seat.acts):
            self._stands(seat, event)

    def _stands(self, seat: Seat, event: ev.Entered | ev.Left | ev.Broken | ev.Returned | ev.Failed) -> None:
        """A worker says where it stands, of its present generation or a newer one."""
        s = self._s
        if isinstance(event, ev.Entered) and event.generation <= seat.entered:
            return  # said twice
        seat.generation = max(seat.generation, event.generation)
        if s.pending is not None and event.generation == s.pending.generation and isinstance(event, ev.Entered):
            made(s)
        if event.step is not None:
            if event.step > s.step:
                s.step, s.stalled, s.vain = event.step, [], 0
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
            self._returned(seat, event)
        else:
            self._failed(seat, event.error)

    def _returned(self, seat: Seat, event: ev.Returned) -> None:
        s = self._s
        seat.result = event.result
        s.turn(seat, "left" if s.drained else "returned")
        if s.drained:
            broke(s)
        elif s.phase in ("training", "forming"):
            s.deadline = min(s.deadline, s.now + END_S)

    def _failed(self, seat: Seat, error: GdistError) -> None:
        s = self._s
        joiner = not seat.entered and (seat.is_candidate or seat.step is None) and bool(s.step or s.pending)
        if is_peers(error):
            s.turn(seat, "broken")
            broke(s)
            if not s.live:
                suspect(s, error)
            return
        seat.error = error
        if joiner and s.live:
            seat.state = "failed"
            refuse(s, seat, error)
            return broke(s) if seat.worker in s.members else None
        s.turn(seat, "failed")
        fail(s, error)

    def _died(self, seat: Seat, event: ev.Died) -> None:
        s = self._s
        if s.phase == "saving" and seat.worker == s.saver:
            s.seats.pop(seat.slot)
            s.deadline = s.now
            return
        member = seat.worker in s.members
        leader = member and seat.worker == s.members[0]
        if seat.state == "returned" and not leader:
            return  # its part was done
        s.seats.pop(seat.slot)
        if seat.state in ("left", "failed"):
            return
        if not s.live or s.phase == "settling":
            return fail(s, event.error)
        lost(s, seat, event.error)
        if member:
            s.stalled.append(event.error)
            s.reason = s.reason or f"worker {seat.slot} was lost"
            if event.place is not None:
                s.places.append(event.place)
            broke(s)
        elif seat.acts and s.pending is not None and seat.worker in s.pending.leaving:
            broke(s)

    def _leaving(self, seat: Seat, reason: str) -> None:
        s = self._s
        if seat.leaving is None:
            seat.leaving = reason
            s.say("leaving", worker=seat.slot, host=seat.hello.get("host"), reason=reason)
        if seat.is_candidate:
            dismiss(s, seat)

    def _scale(self, event: ev.Scale) -> None:
        s = self._s
        s.least, s.most, s.reason = event.least, event.most, event.reason
        s.barren = []
        for seat in [each for each in s.seats.values() if each.is_candidate and each.slot >= s.cap]:
            dismiss(s, seat)

    def _wish(self, event: ev.WishRaised) -> None:
        s = self._s
        if event.wish == "stop" and (not s.members or s.phase == "waiting"):
            return over(s, End(reason=event.reason, step=s.step))
        if s.phase in ("training", "forming"):
            s.out.append(Ask(event.wish, event.reason))
        if event.wish == "stop" or s.phase not in ("training", "forming"):
            s.wishes.setdefault(event.wish, event.reason)

    # -- what follows --

    def _advance(self) -> None:
        s = self._s
        self._prepare_in_time()
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
            s.out.append(Kill(*seat.worker, reason="the others have long been at their end"))
            s.seats.pop(seat.slot)
        broke(s)

    def _prepare_in_time(self) -> None:
        s = self._s
        for seat in list(s.seats.values()):
            if seat.state == "preparing" and s.now >= seat.since + PREPARE_S:
                error = DeadlineExceeded(f"worker {seat.slot} did not prepare job, model and data within {PREPARE_S:.0f} s")
                if not s.members:
                    return over(s, End(error=error))
                s.out.append(Kill(*seat.worker, reason=error.what))
                s.seats.pop(seat.slot)
                lost(s, seat, error)

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
    def wake_at(self) -> float:
        """When a ``Tick`` is due (monotonic s) if nothing happens before."""
        s = self._s
        leaving = [seat.since + LEAVE_S for seat in s.seats.values() if seat.acts and seat.worker not in s.members]
        soon = min((time for time in leaving if time > s.now), default=NEVER)
        soonest = min(s.deadline, hiring_wakes_at(s), gather_wakes_at(s), recovery_wakes_at(s), soon)
        return max(soonest, s.now + AGAIN_S)

    def employs(self, slot: int, incarnation: int) -> bool:
        """Whether the worker has a part in the run, or may still get one."""
        return self._s.phase == "taking up" or self._s.sitting(slot, incarnation) is not None
