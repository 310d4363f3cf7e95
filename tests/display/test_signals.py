"""Signals: the first, the second, and who gets them back. The process signals itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from gdist.display.attend import attending
from gdist.display.signals import Signals
from gdist.records import Interrupt

DEADLINE_S = 10.0


class Heard:
    """What ``Signals`` has called."""

    def __init__(self) -> None:
        self.interrupt = Interrupt()
        self.names: list[str] = []
        self.first = threading.Event()
        self.second = threading.Event()

    def on_first(self, name: str) -> None:
        self.names.append(name)
        self.first.set()

    def signals(self) -> Signals:
        return Signals(self.interrupt, on_first=self.on_first, at_once=self.second.set)


@pytest.fixture(autouse=True)
def handlers_are_given_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before
    assert signal.set_wakeup_fd(-1) == -1
    assert "gdist-signals" not in [thread.name for thread in threading.enumerate() if thread.is_alive() and not thread.daemon]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_sigterm_that_comes_twice_at_once_is_one_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    with heard.signals():
        send(signal.SIGTERM)
        assert heard.first.wait(DEADLINE_S)
        send(signal.SIGTERM)
        send(signal.SIGINT)  # a person's: they are heard in their order
        assert heard.second.wait(DEADLINE_S)
    heard = Heard()
    with heard.signals():
        send(signal.SIGTERM)
        assert heard.first.wait(DEADLINE_S)
        monkeypatch.setattr("gdist.display.signals.SAME_S", 0.0)
        send(signal.SIGTERM)
        assert heard.second.wait(DEADLINE_S)


def test_the_first_asks_for_the_next_step_and_the_second_for_the_end_at_once() -> None:
    heard = Heard()
    with heard.signals():
        send(signal.SIGINT)
        assert heard.first.wait(DEADLINE_S)
        assert heard.interrupt.stop.is_set()
        assert not heard.interrupt.now.is_set()
        send(signal.SIGINT)
        assert heard.second.wait(DEADLINE_S)
        assert heard.interrupt.now.is_set()
    assert (heard.names, heard.interrupt.reason) == (["SIGINT"], "interrupted")


def test_a_request_to_terminate_is_a_first_signal_with_its_name() -> None:
    heard = Heard()
    with heard.signals():
        send(signal.SIGTERM)
        assert heard.first.wait(DEADLINE_S)
    assert heard.interrupt.reason == "asked to end by SIGTERM"


def test_a_terminal_that_closes_after_ctrl_c_does_not_end_the_run_at_once() -> None:
    heard = Heard()
    with heard.signals():
        send(signal.SIGINT)
        assert heard.first.wait(DEADLINE_S)
        send(signal.SIGHUP)
        send(signal.SIGTERM)  # heard after it
        assert heard.second.wait(DEADLINE_S)
    assert heard.names == ["SIGINT"]


def test_a_signal_that_nohup_had_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        heard = Heard()
        with heard.signals():
            send(signal.SIGHUP)
            send(signal.SIGINT)
            assert heard.first.wait(DEADLINE_S)
        assert heard.names == ["SIGINT"]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_it_is_heard_while_the_main_thread_runs_no_python() -> None:
    """A very long hash stands for torch: the main thread is inside C for minutes, where no handler of Python's can run."""
    code = """
import hashlib, os, signal, threading
from gdist.display.signals import Signals
from gdist.records import Interrupt

first = threading.Event()

def send():
    os.kill(os.getpid(), signal.SIGINT)
    first.wait(10)
    os.kill(os.getpid(), signal.SIGINT)

with Signals(Interrupt(), on_first=lambda name: first.set(), at_once=lambda: os._exit(77)):
    threading.Timer(0.1, send).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 77


def test_python_users_get_a_keyboard_interrupt_after_the_second() -> None:
    interrupt = Interrupt()

    def train() -> None:
        with attending(None, interrupt, at_once=lambda signals: signals.raise_interrupt()):
            send(signal.SIGINT)
            assert interrupt.stop.wait(DEADLINE_S)
            send(signal.SIGINT)
            threading.Event().wait(DEADLINE_S)

    with pytest.raises(KeyboardInterrupt):
        train()
    assert interrupt.now.is_set()


def test_outside_of_the_main_thread_nothing_is_taken() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def elsewhere() -> None:
        with Heard().signals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(DEADLINE_S)
    assert seen == [before]
