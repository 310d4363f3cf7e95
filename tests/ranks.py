"""Runs a function as several real processes that are joined by sockets or by Gloo, and gives back what each returned.

The processes are made once and used by all tests: importing torch in four of them costs more than most of the tests.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from typing import Any

MOST = 4
DEADLINE_S = 90.0


class Ranks:
    """Up to ``MOST`` processes, started when they are first needed."""

    def __init__(self) -> None:
        self._doors: list[tuple[str, int]] = []
        self._processes: list[Any] = []
        self._pipes: list[Any] = []
        self._calls = itertools.count(1)

    def run(self, function: Callable[..., Any], size: int, *args: Any, carrier: str) -> list[Any]:
        """``function(collective, *args)`` in ``size`` processes; raises AssertionError with a traceback."""
        self._start(size)
        call = next(self._calls)
        for rank in range(size):
            self._pipes[rank].send((function, rank, self._doors[:size], call, carrier, args))
        answers = []
        for rank in range(size):
            if not self._pipes[rank].poll(DEADLINE_S):
                self.stop()
                raise AssertionError(f"rank {rank} gave no answer within {DEADLINE_S:g} s")
            answers.append(self._pipes[rank].recv())
        for kind, value in answers:
            if kind == "error":
                raise AssertionError(value)
        return [value for _, value in answers]

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._processes, self._pipes, self._doors = [], [], []

    def _start(self, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        while len(self._processes) < size:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes[len(self._doors) :]:
            self._doors.append(pipe.recv())


_ranks = Ranks()
atexit.register(_ranks.stop)


def run_ranks(function: Callable[..., Any], size: int, *args: Any, carrier: str = "sockets") -> list[Any]:
    """``function(collective, *args)`` as each of ``size`` workers, joined by ``carrier``: sockets or gloo."""
    return _ranks.run(function, size, *args, carrier=carrier)


def _serve(pipe: Any) -> None:
    import torch

    from gdist.worker.door import Door

    torch.set_num_threads(1)
    door = Door()
    pipe.send(door.address)
    while True:
        try:
            function, rank, doors, call, carrier, args = pipe.recv()
        except EOFError:
            return
        try:
            collective = join(door, doors, rank=rank, generation=call, carrier=carrier)
            answer = function(collective, *args)
            collective.close()
            pipe.send(("ok", answer))
        except BaseException:
            pipe.send(("error", traceback.format_exc()))


def join(
    door: Any, doors: Sequence[tuple[str, int]], *, rank: int, generation: int, carrier: str, deadline_s: float = 60.0
) -> Any:
    """The collective of worker ``rank`` among those of ``doors``."""
    from gdist.records import Membership
    from gdist.worker.connect import connect

    membership = Membership(
        generation=generation,
        rank=rank,
        size=len(doors),
        doors=tuple(doors),
        secret="of the tests",
        one_host=carrier == "sockets",
    )
    return connect(door, membership, device="cpu", deadline_s=deadline_s)
