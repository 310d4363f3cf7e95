"""``gdist drain``: who is meant by a word, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdist.cli.drain import meant
from tests.cli.command import Gdist

WORKERS = [
    {"worker": 0, "host": "gpu-a", "address": "10.0.0.4", "node": "1f0a22"},
    {"worker": 1, "host": "gpu-b.lan", "address": "10.0.0.5", "node": "1f0b77"},
    {"worker": 12, "host": "gpu-b.lan", "address": "10.0.0.5", "node": "1f0b77"},
]


@pytest.mark.parametrize(
    ("who", "slots"),
    [
        ("worker-1", [1]), ("worker12", [12]), ("worker 0", [0]), ("worker-2", []), ("gpu-a", [0]), ("gpu-b", [1, 12]),
        ("gpu-b.lan", [1, 12]), ("10.0.0.5", [1, 12]), ("1f0b", [1, 12]), ("1f0", []), ("gpu", []), ("1", []),
    ],
)  # fmt: skip
def test_a_word_means_a_worker_or_all_on_a_node(who: str, slots: list[int]) -> None:
    assert meant(who, WORKERS) == slots


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
