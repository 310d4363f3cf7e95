"""A controller that was restarted takes a run up again: the workers say where they stand, and the state is made of that."""

from __future__ import annotations

from gdist.membership.state import State

LISTEN_S = 10.0  # for a worker of the newest generation to be heard; who is silent then counts as dead
APART = 100  # between the incarnations before and after: those hired of whom nothing was heard are never taken for others


def listen(s: State) -> None:
    s.restore = True
    s.enter("taking up", within=LISTEN_S)


def retake(s: State, event: object) -> None:
    raise NotImplementedError
