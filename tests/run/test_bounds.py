"""How many workers a run may have, as users write it."""

from __future__ import annotations

from typing import Any

import pytest

from gdist.errors import UsageError
from gdist.run.bounds import Bounds, bounds

HELP = "a number, or least:most such as 1:8"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(2, (2, 2)), ("2", (2, 2)), ("1:8", (1, 8)), (" 1 : 8 ", (1, 8)), ((1, 8), (1, 8)), ("3:3", (3, 3)), (1, (1, 1))],
)
def test_a_number_is_fixed_and_two_are_bounds(wanted: Any, found: tuple[int, int]) -> None:
    assert bounds(wanted, where="--workers") == Bounds(*found)


@pytest.mark.parametrize(
    ("wanted", "what", "mend"),
    [
        ("8:1", "at least 8 and at most 1 workers contradict each other", "the least first: 1:8"),
        ("0:2", "there cannot be 0 workers", "one is the least"),
        (0, "there cannot be 0 workers", "one is the least"),
        (-1, "there cannot be -1 workers", "one is the least"),
        ("1:", "`1:` does not say the most", "such as 1:8"),
        (":4", "`:4` does not say the least", "such as 1:4"),
        ("abc", "`abc` is no number of workers", HELP),
        ("", "`` is no number of workers", HELP),
        (":", "`:` is no number of workers", HELP),
        ("1:2:3", "`1:2:3` is no number of workers", HELP),
        ("1.5", "`1.5` is no number of workers", HELP),
        (True, "`True` is no number of workers", HELP),
        (1.5, "`1.5` is no number of workers", HELP),
        ((1, 2, 3), "`(1, 2, 3)` is no number of workers", "a number, or (least, most)"),
    ],
)
def test_anything_else_is_refused_with_the_mend(wanted: Any, what: str, mend: str) -> None:
    with pytest.raises(UsageError) as refused:
        bounds(wanted, where="--workers X")
    assert (refused.value.what, refused.value.where, refused.value.help) == (what, "--workers X", mend)


def test_bounds_are_said_as_people_say_them() -> None:
    assert [str(Bounds(2, 2)), str(Bounds(1, 8))] == ["2", "1:8"]
    assert [Bounds(1, 1).words, Bounds(2, 2).words, Bounds(1, 8).words] == ["1 worker", "2 workers", "1 to 8 workers"]
