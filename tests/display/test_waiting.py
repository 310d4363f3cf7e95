"""What a command shows while it waits: in place on a terminal, seldom elsewhere."""

from __future__ import annotations

import io
import os

from gdist.display.waiting import Waiting
from tests.display.test_live import CONTROL, read_all, terminal

__all__ = ["terminal"]  # the fixture


def test_a_terminal_gets_one_line_in_place_that_goes_away(terminal: tuple[int, int]) -> None:
    screen, program = terminal
    with os.fdopen(program, "w") as stream:
        waiting = Waiting(stream)
        waiting.show("worker 2 is being prepared  " + "long " * 40)
        waiting.show("worker 2 is being prepared  2.0 s")
        waiting.say("worker 3 lost")
        waiting.show("")
        shown = read_all(screen)
    assert shown.count("\n") == 1
    first, second, *_ = CONTROL.sub("", shown).split("\r")[1:]
    assert len(first) == 79
    assert second == "worker 2 is being prepared  2.0 s"
    assert "worker 3 lost" in shown


def test_a_log_is_not_flooded() -> None:
    stream = io.StringIO()
    waiting = Waiting(stream)
    for _ in range(5):
        waiting.show("worker 2 is being prepared")
    waiting.say("worker 3 lost")
    assert stream.getvalue() == "worker 3 lost\n"
