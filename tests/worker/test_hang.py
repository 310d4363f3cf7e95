"""How long a worker may be where it is: told on its page, learned from its own times."""

from __future__ import annotations

import math
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from gdist.worker import hang
from gdist.worker.hang import COMPILED_S, FIRST_PASSES, FLOOR_S, MEASURED_S, RECOVERY_S, Allowances
from gdist.worker.page import Page, Place, read_page


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hang, "time", clock)
    for name in [each for each in sys.modules if each.startswith("torch._dynamo")]:
        monkeypatch.delitem(sys.modules, name)  # other tests may have loaded the compiler
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worker-0"


def place(path: Path) -> Place:
    found = read_page(path)
    assert found is not None
    return found


def work(allowances: Allowances, clock: Clock, seconds: float, times: int) -> None:
    for step in range(1, times + 1):
        allowances.enter("compute", step, 0, 2)
        clock.now += seconds
    allowances.enter("boundary")


def test_a_page_says_where_its_worker_is_and_for_how_long_it_may_be(path: Path, clock: Clock) -> None:
    assert read_page(path) is None
    allowances = Allowances(Page(path))
    assert read_page(path) is None
    allowances.enter("compute", 7, 2, 4)
    assert place(path) == Place(7, "compute", 1000.0, 2, 4, MEASURED_S["compute"])
    assert place(path).overdue(1000.0 + MEASURED_S["compute"] + 3) == 3


def test_first_passes_may_be_slow_and_are_not_learned_from(path: Path, clock: Clock) -> None:
    allowances = Allowances(Page(path))
    work(allowances, clock, 100.0, FIRST_PASSES)
    work(allowances, clock, 0.01, 30)
    allowances.enter("compute", 1)
    assert place(path).allowed == FLOOR_S - RECOVERY_S


def test_long_passes_may_take_five_times_as_long_as_nearly_all_did(path: Path, clock: Clock) -> None:
    allowances = Allowances(Page(path))
    work(allowances, clock, 1.0, FIRST_PASSES)
    work(allowances, clock, 2.0, 500)
    work(allowances, clock, 30.0, 2)  # seldom: fewer than one in a hundred
    work(allowances, clock, 2.0, 200)
    allowances.enter("compute", 1)
    assert place(path).allowed == pytest.approx(5 * 2.0 - RECOVERY_S)


def test_a_new_generation_is_given_time_again_and_then_what_was_learned_holds(path: Path, clock: Clock) -> None:
    allowances = Allowances(Page(path))
    work(allowances, clock, 0.01, FIRST_PASSES + 50)
    allowances.begin()
    allowances.enter("compute", 1)
    assert place(path).allowed == MEASURED_S["compute"]
    work(allowances, clock, 0.01, FIRST_PASSES + 1)
    allowances.enter("compute", 1)
    assert place(path).allowed == FLOOR_S - RECOVERY_S


def test_waiting_for_peers_takes_any_time_and_is_not_ones_own(path: Path, clock: Clock) -> None:
    allowances = Allowances(Page(path))
    for _ in range(FIRST_PASSES + 50):
        allowances.enter("reduce", 3)
        clock.now += 0.01
        with allowances.peers:
            assert place(path) == Place(3, "peers", clock.now, -1, -1, math.inf)
            clock.now += 50.0
        clock.now += 0.01
    allowances.enter("reduce", 4)
    assert place(path).allowed == FLOOR_S - RECOVERY_S
    began = clock.now
    with allowances.peers:
        clock.now += 50.0
    assert place(path).overdue(clock.now) == pytest.approx(-(FLOOR_S - RECOVERY_S))
    assert place(path).time == began + 50.0


def test_what_is_done_within_a_section_does_not_count_as_its_time(path: Path, clock: Clock) -> None:
    allowances = Allowances(Page(path))
    allowances.enter("compute", 5, 0, 1)
    clock.now += 1.0
    with allowances.section("callback", 5):
        assert place(path) == Place(5, "callback", clock.now, -1, -1, hang.FIXED_S["callback"])
        clock.now += 100.0
    assert place(path) == Place(5, "compute", 1100.0, 0, 1, MEASURED_S["compute"])


def test_a_compiler_may_compile_at_any_pass(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = ModuleType("torch._dynamo.convert_frame")
    compiler.FRAME_COUNTER = 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch._dynamo.convert_frame", compiler)
    allowances = Allowances(Page(path))
    work(allowances, clock, 0.01, FIRST_PASSES + 50)
    allowances.enter("compute", 1)
    assert place(path).allowed == COMPILED_S


def test_a_page_is_never_read_half_written(path: Path) -> None:
    page, over = Page(path), threading.Event()

    def write() -> None:
        n = 0
        while not over.is_set():
            n = n % 1_000_000 + 1
            page.put(b"%d" % n, n, n, n, float(n), float(n))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        read = [found for _ in range(300) if (found := read_page(path)) is not None]
    finally:
        over.set()
        writer.join()
    for found in [*read, place(path)]:
        assert {found.first, found.last, found.time, found.allowed, float(found.phase)} == {found.step}
