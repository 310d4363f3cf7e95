"""The live display on a real (pseudo) terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios

import pytest

from gdist.display.choose import can_draw, choose_display
from gdist.display.live import LiveDisplay
from gdist.display.plain import PlainDisplay
from gdist.records import Update
from tests.display.recorded import RUN, happened

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """(what the screen reads, what the program writes to): 80 columns, 24 rows."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    screen, program = pty.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    return screen, program


def read_all(screen: int) -> str:
    os.set_blocking(screen, False)
    content = b""
    while True:
        try:
            content += os.read(screen, 65536)
        except (BlockingIOError, OSError):
            return content.decode()


def test_what_stays_is_above_the_block_and_the_block_is_taken_away(terminal: tuple[int, int]) -> None:
    screen, program = terminal
    with os.fdopen(program, "w", encoding="utf-8") as stream:
        display = LiveDisplay(stream)
        for update in RUN:
            display(update)
        display(Update(output=["printed by [a job]"]))
        display.say("stopping at the next step")
        shown = read_all(screen)
        display.close()
        display.close()
        last = read_all(screen)
    text = CONTROL.sub("", shown)
    assert "digits in runs/digits: 37,770 parameters, 1,437 samples (360 to validate), 240" in text
    assert "\r\n  steps in 20 epochs" in text
    assert " epoch  1  step  12  loss 0.6713    validation loss 0.4120*  accuracy 0.9028*" in text
    assert "printed by [a job]" in text
    assert "accuracy         0.8972  best 0.9028" in text
    assert "stopping at the next step" in text
    assert "\x1b[?25h" in last, "the cursor is back"
    assert last.count("\x1b[2K") >= 6, "the block's lines are erased"


def test_a_long_sentence_is_set_in_where_it_goes_on_and_what_is_quoted_is_cut(terminal: tuple[int, int]) -> None:
    screen, program = terminal
    lost = happened("worker_lost", 5, worker=1, host="gpu-b", cause="out of memory " * 6, step=24, last_lines=["x" * 200])
    with os.fdopen(program, "w", encoding="utf-8") as stream:
        display = LiveDisplay(stream)
        display(Update(events=[lost]))
        display.close()
        lines = [line for line in CONTROL.sub("", read_all(screen)).splitlines() if "memory" in line or "x" * 20 in line]
    assert lines[0].startswith("worker 1 on gpu-b lost at step 24: out of memory")
    assert lines[1].startswith("  ")
    assert lines[2].strip() == f"| {'x' * 73}..."


def test_a_terminal_gets_the_live_display_and_anything_else_lines(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with os.fdopen(terminal[1], "w") as stream:
        assert can_draw(stream)
        monkeypatch.setenv("TERM", "dumb")
        assert not can_draw(stream)
    assert isinstance(choose_display(plain=True), PlainDisplay)
