"""While somebody attends a run: Ctrl-C is answered, and ``breakpoint()`` in a job of this process gets the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gdist.display.choose import Display
from gdist.display.signals import Signals
from gdist.records import Interrupt


@contextmanager
def attending(display: Display | None, interrupt: Interrupt, *, at_once: Callable[[Signals], None]) -> Iterator[None]:
    """Signals set ``interrupt``, and the display says so; ``at_once`` is called after the second one, on the signals' thread.
    Closes the display at the end."""

    def on_first(signal: str) -> None:
        if display is not None:
            again = "Ctrl-C again" if signal == "SIGINT" else "a second signal"
            how = "stopping at the next step, with a checkpoint" if display.standing.run else "stopping"
            display.say(f"{how}; {again} ends at once")

    def close() -> None:
        if display is not None:
            display.close()

    try:
        with (
            Signals(interrupt, on_first=on_first, at_once=lambda: at_once(signals)) as signals,
            _before_debugging(close, signals.release),
        ):
            yield
    finally:
        close()


@contextmanager
def _before_debugging(*steps: Callable[[], None]) -> Iterator[None]:
    """While entered, ``breakpoint()`` first takes ``steps``, then does what it would have done."""
    before = sys.breakpointhook

    def hook(*args: Any, **kwargs: Any) -> Any:
        for step in steps:
            step()
        if before is sys.__breakpointhook__ and not os.environ.get("PYTHONBREAKPOINT"):
            import pdb

            return pdb.Pdb().set_trace(sys._getframe(1))  # the user's frame, not this one
        return before(*args, **kwargs)

    sys.breakpointhook = hook
    try:
        yield
    finally:
        sys.breakpointhook = before
