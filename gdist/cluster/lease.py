"""A member's tie to its controller: a thread that pulls orders, and notices when there is nobody left to obey.

The controller answers each pull at once or after a second; should it die, Ray starts another within seconds. So if no answer
comes within ``LEASE_S``, or Ray says that the actor is dead for good, the run has lost its head: the member ends by itself,
after a checkpoint if it trains.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from gdist.cluster.orders import Order, Standing

LEASE_S = 30.0
CLAIM_S = 10.0  # between the making of an actor and the call that it live, which follow each other at once
FIRST_ANSWER_S = 90.0  # the controller's process may still be starting
AGAIN_S = 0.1
_PR_SET_PDEATHSIG = 1  # linux/prctl.h; the parent is the raylet's main thread, which lives as long as the raylet
ORPHAN_S = 30.0  # to reach a step boundary and write the checkpoint; then the process ends whatever it does


def end_unless_claimed() -> threading.Timer:
    """A detached actor is made and then called to life; if its maker dies in between, nobody would ever end it. Starts a timer
    that does; ``live`` cancels it. Also binds this process to the raylet that made it: with the raylet gone, it goes."""
    bind_to_raylet()
    timer = threading.Timer(CLAIM_S, os._exit, (1,))
    timer.daemon = True
    timer.start()
    return timer


def bind_to_raylet() -> None:
    """This process goes with the raylet that made it."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def leave_process() -> NoReturn:
    """Ends this actor's process at once. Ray's own way out (``exit_actor``) takes up to a second, with all said and done."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class Lease(threading.Thread):
    """``on_order``, ``on_written`` (the step up to which the run's folder is written), ``on_new`` (another controller has taken
    the run up) and ``on_lost`` (gets the reason, once) are called from this thread. ``standing``: said with each pull."""

    def __init__(
        self,
        controller: Any,
        *,
        who: str,
        incarnation: int,
        standing: Callable[[], Standing],
        on_order: Callable[[Order], None],
        on_written: Callable[[int], None],
        on_new: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        super().__init__(name="gdist-lease", daemon=True)
        self._controller = controller
        self._who = who
        self._incarnation = incarnation
        self._standing = standing
        self._on_order = on_order
        self._on_written = on_written
        self._on_new = on_new
        self._on_lost = on_lost
        self._over = threading.Event()

    def close(self) -> None:
        self._over.set()

    def run(self) -> None:
        import ray
        from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayError, RayTaskError

        after, known, written, answered, patience = 0, None, 0, time.monotonic(), FIRST_ANSWER_S
        while not self._over.is_set():
            try:
                pull = self._controller.pull.remote(self._who, self._incarnation, after, self._standing())
                answer = ray.get(pull, timeout=patience)
            except GetTimeoutError:
                return self._lose(f"the run's controller has not answered for {patience:.0f} s")
            except (ActorUnavailableError, RayTaskError):  # the latter: it is there, and has answered with an error
                if time.monotonic() - answered > patience:
                    return self._lose(f"the run's controller was out of reach for {patience:.0f} s")
                self._over.wait(AGAIN_S)
                continue
            except (RayError, ValueError) as error:  # ValueError: this process's Ray was shut down
                return self._lose(f"the run's controller is gone ({type(error).__name__})")
            answered, patience = time.monotonic(), LEASE_S
            if known is not None and answer.controller != known:
                self._on_new()
            known = answer.controller
            if answer.written_step != written:
                written = answer.written_step
                self._on_written(written)
            for number, order in answer.orders:
                after = number
                self._on_order(order)

    def _lose(self, reason: str) -> None:
        if not self._over.is_set():
            timer = threading.Timer(ORPHAN_S, os._exit, (1,))
            timer.daemon = True
            timer.start()
            self._on_lost(reason)
