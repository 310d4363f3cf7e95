"""Known bugs, each as a small patch of the state machine; the simulation must catch every one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from gdist.membership import change, hiring, machine, recovery, reports, retake
from gdist.membership.state import Kept, Seat, State


@contextlib.contextmanager
def _patched(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for where, name, what in changes:
            stack.enter_context(patch.object(where, name, what))
        yield


def no_fence() -> contextlib.AbstractContextManager[None]:
    """What a dead incarnation says is taken for its successor's."""
    return _patched((State, "sitting", lambda s, slot, incarnation: s.seats.get(slot)))


def least_advanced() -> contextlib.AbstractContextManager[None]:
    """The first survivor's state counts, and not the most advanced one's."""
    real = change.form

    def form(s: State, workers: list[Seat], *, source: Seat | None, planned: bool, **more: Any) -> None:
        if source is not None and not planned:
            source = min(workers, key=lambda seat: 1e9 if seat.step is None else seat.step)
        real(s, workers, source=source, planned=planned, **more)

    return _patched((recovery, "form", form), (change, "_check", lambda *_, **__: None))


def dropped_state() -> contextlib.AbstractContextManager[None]:
    """A restore although somebody has state."""

    def able(s: State) -> list[Seat]:
        return []

    return _patched((recovery, "_able", able), (change, "_check", lambda *_, **__: None))


def stale_reports() -> contextlib.AbstractContextManager[None]:
    """What a worker said of an older generation is taken for news."""
    real = reports.hear

    def hear(s: State, seat: Seat, event: Any) -> None:
        if getattr(event, "generation", seat.generation) < seat.generation:
            seat.generation = event.generation
        real(s, seat, event)

    return _patched((machine, "hear", hear), (change, "_check", lambda *_, **__: None))


def reused_incarnation() -> contextlib.AbstractContextManager[None]:
    """A restarted controller gives out incarnations that were given out before."""
    return _patched((retake, "APART", 0))


def no_mend() -> contextlib.AbstractContextManager[None]:
    """A joiner that dies before the change is not noticed: the members go to a generation that cannot form."""
    return _patched((change, "_mend", lambda s, pending: None), (reports, "died", _ignores_members))


def _ignores_members(s: State, seat: Seat, event: Any) -> None:
    s.seats.pop(seat.slot)
    hiring.lost(s, seat, event.error)


def no_wait() -> contextlib.AbstractContextManager[None]:
    """The next generation is formed before the survivors have said where they stand."""
    return _patched(
        (recovery, "_is_void", lambda s: True), (recovery, "_never_acted", lambda s, seat: True), (recovery, "VOID_S", 0.0)
    )


def no_kill() -> contextlib.AbstractContextManager[None]:
    """Who does not answer is given up, but may come back."""

    def give_up_on(s: State, seat: Seat) -> None:
        s.seats.pop(seat.slot)
        s.members = tuple(worker for worker in s.members if worker != seat.worker)

    return _patched((recovery, "_give_up_on", give_up_on), (recovery, "REPORT_S", 0.05), (recovery, "VOID_S", 0.01))


def lost_leader() -> contextlib.AbstractContextManager[None]:
    """The death of the leader is not noticed as such: its peers are expected to say so."""
    real = reports.died

    def died(s: State, seat: Seat, event: Any) -> None:
        if s.members and seat.worker == s.members[0]:
            s.seats.pop(seat.slot)
        else:
            real(s, seat, event)

    return _patched((reports, "died", died))


def anew() -> contextlib.AbstractContextManager[None]:
    """When all are lost, the run begins anew although it has a checkpoint."""
    real = change.form

    def form(s: State, workers: list[Seat], **more: Any) -> None:
        s.restore = False
        real(s, workers, **more)

    return _patched((recovery, "form", form))


def reused_generation() -> contextlib.AbstractContextManager[None]:
    """A restarted controller counts generations from those that it has heard of, not from those that were announced."""
    real = retake.listen

    def listen(s: State, kept: Kept, *, times: int) -> None:
        s.generation = 0
        real(s, kept, times=times)

    return _patched((machine, "listen", listen))


def unlike_joiner() -> contextlib.AbstractContextManager[None]:
    """A restarted controller takes whoever is ready, like the others or not."""
    return _patched((retake, "_compare", lambda s: None))


def poison_kept() -> contextlib.AbstractContextManager[None]:
    """A micro-batch that is to be skipped is not."""
    real = change.form

    def form(s: State, workers: list[Seat], **more: Any) -> None:
        s.skip = ()
        real(s, workers, **more)

    return _patched((recovery, "form", form))


def same_node() -> contextlib.AbstractContextManager[None]:
    """The successor of a refused worker comes to the same node."""
    return _patched((hiring, "avoided", lambda s: tuple(sorted(s.refused_nodes))))


MUTATIONS: tuple[Callable[[], contextlib.AbstractContextManager[None]], ...] = (
    no_fence, least_advanced, no_wait, dropped_state, stale_reports, reused_incarnation, no_mend, no_kill, lost_leader, anew,
    reused_generation, unlike_joiner, poison_kept, same_node,
)  # fmt: skip
