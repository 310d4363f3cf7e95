"""What a run's watcher is told once, whatever a new controller tells again."""

from __future__ import annotations

from gdist.cluster.follower import REMEMBERED, Seen
from gdist.records import Update


def told(seen: Seen, first: int, last: int, *, events: tuple[float, ...] = ()) -> int:
    """How many of these events and of the lines [first, last) are new, by their times."""
    lines = [{"kind": "step", "time": float(time)} for time in range(first, last)]
    new = seen.new(Update(events=[{"event": "generation", "time": time} for time in events], lines=lines))
    return len(new.events) + len(new.lines) if new is not None else 0


def test_nothing_is_told_twice_however_long_ago_it_was() -> None:
    seen = Seen()
    assert told(seen, 100, 200, events=(99.5,)) == 101
    assert told(seen, 200, 300 + 2 * REMEMBERED) == 100 + 2 * REMEMBERED
    assert told(seen, 100, 300 + 2 * REMEMBERED, events=(99.5,)) == 0  # a new controller, from the run's files
    assert told(seen, 300 + 2 * REMEMBERED, 310 + 2 * REMEMBERED, events=(1e6,)) == 11


def test_what_an_earlier_session_left_is_not_told() -> None:
    seen = Seen()
    assert told(seen, 100, 110) == 10
    assert told(seen, 50, 112) == 2
