"""Ctrl-C, SIGTERM and a closed terminal: the first asks the run to end at the next step, the second ends it at once.

Signals are read from Python's wake-up descriptor on a thread of their own, so that one is answered at once even while the main
thread is deep inside torch, where no Python handler could run.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from gdist.records import Interrupt

GRACE_S = 5.0  # after the second signal, for a driver to end its workers
SAME_S = 2.0  # `timeout` sends SIGTERM to its child and then to the child's whole group: that is one wish
_TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """While entered, signals set ``interrupt``; ``on_first(name)`` and then ``at_once()`` are called on the signals' thread.

    Outside of the main thread nothing is taken. A signal that the parent process had ignored (nohup) stays ignored.
    """

    def __init__(self, interrupt: Interrupt, *, on_first: Callable[[str], None], at_once: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._on_first = on_first
        self._at_once = at_once
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._writer = -1
        self._raising = False
        self._first: tuple[int, float] = 0, 0.0  # the signal, and when (monotonic)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            for number in _TAKEN:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._noticed)
            threading.Thread(target=self._listen, args=(reader,), name="gdist-signals", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Gives the signals back to whoever had them. Idempotent; from the main thread."""
        if self._writer < 0:
            return
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._noticed:  # else somebody has taken it over meanwhile
                signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._writer)  # the listener comes to its end
        self._writer = -1

    def raise_interrupt(self) -> None:
        """KeyboardInterrupt in the main thread, as soon as it is back in Python; from any thread."""
        self._raising = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # wakes it, even where it waits for a lock

    def _noticed(self, number: int, frame: object) -> None:
        """The work is the listener's; but without a handler Python would write nothing to the wake-up descriptor."""
        if self._raising:
            raise KeyboardInterrupt

    def _listen(self, reader: int) -> None:
        with os.fdopen(reader, "rb", buffering=0) as signals:
            while byte := signals.read(1):
                if byte[0] in self._before:
                    self._heard(signal.Signals(byte[0]))

    def _heard(self, number: signal.Signals) -> None:
        interrupt = self._interrupt
        if not interrupt.stop.is_set():
            interrupt.reason = "interrupted" if number == signal.SIGINT else f"asked to end by {number.name}"
            self._first = number, time.monotonic()
            interrupt.stop.set()
            self._on_first(number.name)
        elif number == signal.SIGTERM == self._first[0] and time.monotonic() - self._first[1] < SAME_S:
            return
        elif number != signal.SIGHUP and not interrupt.now.is_set():
            interrupt.now.set()
            self._at_once()
