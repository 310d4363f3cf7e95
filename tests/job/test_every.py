"""How often checkpoints are written, in the words that users expect."""

from __future__ import annotations

import pytest

from gdist.description import Wrong
from gdist.job.every import Every, every


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, Every(epochs=1)),
        (500, Every(steps=500)),
        ("100 steps", Every(steps=100)),
        ("1epoch", Every(epochs=1)),
        ("epoch", Every(epochs=1)),
        ("5min", Every(seconds=300.0)),
        ("1.5 hours", Every(seconds=5400.0)),
        ("30s", Every(seconds=30.0)),
    ],
)
def test_what_is_said_is_understood(said: int | str | None, meant: Every) -> None:
    assert every(said) == meant


@pytest.mark.parametrize("said", ["x", "", "5 parsecs", "1.5epochs", 0, -3, True, "0s"])
def test_what_has_no_meaning_is_refused(said: int | str) -> None:
    with pytest.raises(Wrong):
        every(said)
