"""Generations form at the workers' doors: with those who belong to them, in bounded time, or not at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from gdist.errors import PeerLost, Superseded
from gdist.worker import meeting
from gdist.worker.door import Door
from gdist.worker.meeting import Address

SECRET = "0123456789abcdef"
Peers = dict[int, socket.socket]


@contextmanager
def doors(count: int) -> Iterator[list[Door]]:
    opened = [Door() for _ in range(count)]
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


@contextmanager
def callers() -> Iterator[Callable[..., Future[Peers]]]:
    """``meet(door, doors, rank, ...)`` in a thread; whoever has met is hung up at the end."""
    calls: list[Future[Peers]] = []
    with ThreadPoolExecutor(8) as pool:

        def meet(door: Door, places: Sequence[Door | Address], rank: int, *, secret: str = SECRET, **how: Any) -> Future[Peers]:
            addresses = [each.address if isinstance(each, Door) else each for each in places]
            options = {"generation": 1, "deadline_s": 20.0, **how}
            calls.append(pool.submit(door.meet, addresses, rank=rank, secret=secret, **options))
            return calls[-1]

        yield meet
    for call in calls:
        for stream in call.result().values() if call.exception() is None else ():
            stream.close()


def until(happened: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_everybody_is_joined_to_everybody(size: int) -> None:
    with doors(size) as own, callers() as meet:
        for generation in (1, 2, 5):
            found = [meet(own[r], own, r, generation=generation) for r in reversed(range(size))][::-1]
            peers = [each.result() for each in found]
            for r in range(size):
                assert sorted(peers[r]) == [p for p in range(size) if p != r]
                for p, stream in peers[r].items():
                    stream.send(bytes([r, p]))
            for r in range(size):
                for p, stream in peers[r].items():
                    stream.setblocking(True)
                    assert stream.recv(2) == bytes([p, r])


def test_one_who_comes_late_is_waited_for() -> None:
    with doors(3) as own, callers() as meet:
        early = [meet(own[r], own, r) for r in (0, 2)]
        until(lambda: all(each.running() for each in early))
        meet(own[1], own, 1).result()
        assert [sorted(each.result()) for each in early] == [[1, 2], [0, 1]]


def test_a_generation_that_is_not_wanted_any_more_is_given_up_and_the_next_one_forms() -> None:
    over = threading.Event()
    with doors(3) as own, callers() as meet:
        given_up = [meet(own[r], own, r, cancelled=over.is_set) for r in (0, 1)]
        next_one = meet(own[2], own, 2, generation=2)  # it has heard of the next one first
        over.set()
        assert [type(each.exception()) for each in given_up] == [Superseded, Superseded]
        others = [meet(own[r], own, r, generation=2) for r in (0, 1)]
        assert [sorted(each.result()) for each in (*others, next_one)] == [[1, 2], [0, 2], [0, 1]]


def test_who_calls_for_a_later_generation_is_kept_until_its_turn() -> None:
    over = threading.Event()
    with doors(2) as own, callers() as meet:
        older = meet(own[0], own, 0, generation=4, cancelled=over.is_set)
        later = meet(own[1], own, 1, generation=5)
        until(lambda: own[0]._early)
        over.set()
        assert isinstance(older.exception(), Superseded)
        assert list(meet(own[0], own, 0, generation=5).result()) == [1]
        assert list(later.result()) == [0]


def test_one_of_an_older_generation_is_turned_away_with_its_secret_and_the_newer_one_forms() -> None:
    with doors(3) as own, callers() as meet:
        newer = meet(own[0], [own[0], own[2]], 0, generation=7)
        zombie = meet(own[1], own[:2], 1, generation=6)
        error = zombie.exception()
        assert isinstance(error, PeerLost)
        assert error.what == "worker 0 is gone, or in another generation"
        assert not newer.done()
        meet(own[2], [own[0], own[2]], 1, generation=7).result()
        assert list(newer.result()) == [1]


def test_one_without_the_secret_is_turned_away() -> None:
    with doors(3) as own, callers() as meet:
        right = meet(own[0], [own[0], own[2]], 0)
        assert isinstance(meet(own[1], own[:2], 1, secret="guessed").exception(), PeerLost)
        meet(own[2], [own[0], own[2]], 1).result()
        assert list(right.result()) == [1]


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\n\r\n", b"x" * 200, b"gdist\x00\x01\x00" + b"\xff" * 80])
def test_strangers_do_not_hold_a_generation_up(words: bytes) -> None:
    with doors(2) as own, callers() as meet:
        first = meet(own[0], own, 0)
        with socket.create_connection(own[0].address) as stranger:
            stranger.sendall(words)
            assert list(meet(own[1], own, 1).result()) == [0]
            assert list(first.result()) == [1]


def test_a_door_that_answers_without_knowing_the_secret_is_not_taken_for_the_peer() -> None:
    with doors(1) as own, callers() as meet, socket.create_server(("127.0.0.1", 0)) as liar:
        call = meet(own[0], [liar.getsockname(), own[0]], 1)

        def lie() -> None:
            while not call.done():
                stream, _ = liar.accept()
                with stream:
                    said = stream.recv(meeting._HELLO.size, socket.MSG_WAITALL)
                    stream.sendall(said)  # its own words back

        threading.Thread(target=lie, daemon=True).start()
        assert isinstance(call.exception(), PeerLost)
        socket.create_connection(liar.getsockname()).close()


def test_a_peer_whose_door_is_closed_is_named_soon() -> None:
    with doors(2) as own, callers() as meet:
        own[0].close()
        error = meet(own[1], own, 1).exception()
        assert isinstance(error, PeerLost)
        assert error.what.startswith("worker 0 is gone")


def test_one_who_dies_before_it_has_called_is_noticed() -> None:
    with doors(3) as own, callers() as meet:
        both = [meet(own[r], own, r) for r in (0, 1)]
        own[2].close()  # as the end of its process does
        for each in both:
            assert isinstance(each.exception(), PeerLost)


def test_one_who_does_not_come_is_named_when_the_time_is_over() -> None:
    with doors(3) as own, callers() as meet:
        both = [meet(own[r], own, r, deadline_s=0.5) for r in (0, 1)]
        for each in both:
            assert "2 did not come within 0.5 s" in str(each.exception()) or "left while" in str(each.exception())


def test_who_leaves_while_the_generation_forms_frees_the_others() -> None:
    over = threading.Event()
    with doors(4) as own, callers() as meet:
        waiting = [meet(own[r], own, r) for r in (0, 2)]
        leaving = meet(own[1], own, 1, cancelled=over.is_set)
        until(lambda: all(each.running() for each in waiting))
        time.sleep(0.1)
        over.set()
        assert isinstance(leaving.exception(), Superseded)
        for each in waiting:  # rank 3 never comes
            assert isinstance(each.exception(), PeerLost)


def test_nothing_is_left_open() -> None:
    import psutil

    me = psutil.Process()
    before = me.num_fds()
    for _ in range(3):
        over = threading.Event()
        with doors(3) as own, callers() as meet:
            calls = [meet(own[r], own, r, cancelled=over.is_set) for r in (0, 1)]
            stranger = socket.create_connection(own[0].address)
            over.set()
            assert all(isinstance(each.exception(), PeerLost) for each in calls)
            stranger.close()
    assert me.num_fds() == before
