"""``gdist drain``: what is refused, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdist.display.asked import Asked
from gdist.records import Update
from tests.cli.command import Gdist
from tests.display.recorded import happened


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("", 2, "error: which worker or node?\nhelp: name one: gdist drain digits worker-1\n"),
        ("worker-1", 2, "error: of which run?\n  --> command line: worker-1\nhelp: gdist drain @ worker-1, for the newest\n"),
        ("gpu-a", 2, "error: there is no worker `gpu-a`, and none on a node of that name\n  --> runs\nnote: nobody trains\n"),
    ],
)
def test_a_wrong_command_is_told_the_mend(gdist: Gdist, tmp_path: Path, words: str, code: int, message: str) -> None:
    ended = gdist("drain", *words.split(), cwd=tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", message, code)


def test_without_anybody_left_the_run_waits() -> None:
    asked = Asked((0, 1), lambda asked: asked.waiting is not None)
    assert not asked.settled
    asked.take(Update(events=[happened("waiting", 5, what="room for 1 worker")]))
    assert asked.settled
    assert asked.words() == "workers 0 and 1 left, with a checkpoint; the run waits for room for 1 worker"
