"""A member's tie to its controller: a thread that pulls orders, and notices when there is nobody left to obey.

The controller answers each pull at once or after a second, so an answer that does not come within ``LEASE_S`` (or the news
that the actor died) means that the run has lost its head: the member ends by itself, after a checkpoint if it trains.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from gdist.cluster.orders import Order

LEASE_S = 15.0
CLAIM_S = 10.0  # between the making of an actor and the call that it live, which follow each other at once
FIRST_ANSWER_S = 90.0  # the controller's process may still be starting
_PR_SET_PDEATHSIG = 1  # linux/prctl.h; the parent is the raylet's main thread, which lives as long as the raylet
ORPHAN_S = 30.0  # to reach a step boundary and write the checkpoint; then the process ends whatever it does


def end_unless_claimed() -> threading.Timer:
    """A detached actor is made and then called to life; if its maker dies in between, nobody would ever end it. Starts a timer
    that does; ``live`` cancels it. Also binds this process to the raylet that made it: with the raylet gone, it goes."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    timer = threading.Timer(CLAIM_S, os._exit, (1,))
    timer.daemon = True
    timer.start()
    return timer


def leave_process() -> NoReturn:
    """Ends this actor's process at once. Ray's own way out (``exit_actor``) takes up to a second, with all said and done."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class Lease(threading.Thread):
    """``on_order`` and ``on_lost`` are called from this thread; ``on_lost`` gets the reason, once."""

    def __init__(
        self,
        controller: Any,
        *,
        who: str,
        incarnation: int,
        on_order: Callable[[Order], None],
        on_lost: Callable[[str], None],
    ) -> None:
        super().__init__(name="gdist-lease", daemon=True)
        self._controller = controller
        self._who = who
        self._incarnation = incarnation
        self._on_order = on_order
        self._on_lost = on_lost
        self._over = threading.Event()

    def close(self) -> None:
        self._over.set()

    def run(self) -> None:
        import ray
        from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayError

        after, answered, patience = 0, time.monotonic(), FIRST_ANSWER_S
        while not self._over.is_set():
            try:
                pull = self._controller.pull.remote(self._who, self._incarnation, after)
                orders = ray.get(pull, timeout=patience)
            except GetTimeoutError:
                return self._lose(f"the run's controller has not answered for {patience:.0f} s")
            except ActorUnavailableError:
                if time.monotonic() - answered > LEASE_S:
                    return self._lose(f"the run's controller was out of reach for {LEASE_S:.0f} s")
                self._over.wait(0.2)
                continue
            except (RayError, ValueError) as error:  # ValueError: this process's Ray was shut down
                return self._lose(f"the run's controller is gone ({type(error).__name__})")
            answered, patience = time.monotonic(), LEASE_S
            for number, order in orders:
                after = number
                self._on_order(order)

    def _lose(self, reason: str) -> None:
        if not self._over.is_set():
            timer = threading.Timer(ORPHAN_S, os._exit, (1,))
            timer.daemon = True
            timer.start()
            self._on_lost(reason)
