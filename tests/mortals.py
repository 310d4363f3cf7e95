"""Worker processes that a test may stop and kill: each with a door, doing one thing after another that it is told.

They are forked from a process that has imported torch already, so that a test can afford to lose some.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psutil

from tests.worker.live import context

ANSWER_S = 60.0


class Mortal:
    """One process. ``faults``: as in GDIST_FAULT."""

    def __init__(self, faults: str = "") -> None:
        self._pipe, theirs = context().Pipe()
        self.process = context().Process(target=_serve, args=(theirs, faults), daemon=True)
        self.process.start()
        theirs.close()
        self.door: tuple[str, int] = self._hear()

    def do(self, function: Callable[..., Any], *args: Any) -> None:
        """Begins ``function(door, *args)``; ``answer`` gives what came of it."""
        self._pipe.send((function, args))

    def answer(self) -> Any:
        """What the function returned; the name of the GdistError that it raised, with its text and the time (monotonic)."""
        kind, value = self._hear()
        assert kind != "error", value
        return value

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)

    def stop(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def wait_until_stopped(self) -> None:
        ends = time.monotonic() + ANSWER_S
        while psutil.Process(self.process.pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < ends, "it did not stop"
            time.sleep(0.005)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self._pipe.close()

    def _hear(self) -> Any:
        assert self._pipe.poll(ANSWER_S), f"no answer within {ANSWER_S:g} s"
        return self._pipe.recv()


@contextmanager
def mortals(count: int, *, faults: Sequence[str] = ()) -> Iterator[list[Mortal]]:
    """``count`` processes; ``faults[r]``: those of process r."""
    living = [Mortal(faults[r] if r < len(faults) else "") for r in range(count)]
    try:
        yield living
    finally:
        for each in living:
            each.end()


def _serve(pipe: Any, faults: str) -> None:
    import torch

    from gdist import fault_points
    from gdist.errors import GdistError
    from gdist.worker.door import Door

    fault_points._FAULTS[:] = fault_points._parse(faults)
    torch.set_num_threads(1)
    door = Door()
    pipe.send(door.address)
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("ok", function(door, *args)))
        except GdistError as error:
            pipe.send(("ok", (type(error).__name__, str(error), time.monotonic())))
        except BaseException:
            pipe.send(("error", traceback.format_exc()))
