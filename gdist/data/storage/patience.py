"""Asks a storage again when the network fails it, with a bound on how often and how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from gdist.data.storage.failures import cause_of, failure
from gdist.errors import DataError

Answer = TypeVar("Answer")

_FIRST_PAUSE_S = 0.2  # twice as long after each attempt
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True)
class Patience:
    """``deadline_s``: no attempt begins after so many seconds; the last may last as long as the storage's own time limits."""

    attempts: int = 5
    deadline_s: float = 120.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Patience:
        """From the user's options. Raises DataError for numbers that cannot be."""
        own = {each.name: options[each.name] for each in fields(cls) if each.name in options}
        for name, value in own.items():
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or value <= 0
                or (name == "attempts" and value % 1)
            ):
                raise DataError(f"`storage` has `{name}`, which is {value!r}, not a number above 0")
        return cls(**own)

    def ask(self, question: Callable[[], Answer], *, shown: str, options: Mapping[str, Any]) -> Answer:
        """The answer. Raises DataError for what does not pass, or did not within the bound; never the library's own error,
        which may hold credentials."""
        began = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        tried = 0
        while True:
            tried += 1
            try:
                return question()
            except DataError:
                raise
            except Exception as error:  # of any library that fsspec finds
                seconds = time.monotonic() - began
                last = tried >= self.attempts or seconds + pause_s > self.deadline_s or not cause_of(error).passes
                wrong = failure(error, shown=shown, options=options, tried=tried, seconds=seconds) if last else None
            if wrong is not None:
                raise wrong  # here, so that the library's error is not its context
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
