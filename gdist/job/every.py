"""How often something happens: every so many steps, epochs, or minutes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gdist.description import Wrong

_UNITS = {  # word -> (what is counted, how many of them)
    "step": ("steps", 1.0),
    "epoch": ("epochs", 1.0),
    "s": ("seconds", 1.0),
    "sec": ("seconds", 1.0),
    "second": ("seconds", 1.0),
    "m": ("seconds", 60.0),
    "min": ("seconds", 60.0),
    "minute": ("seconds", 60.0),
    "h": ("seconds", 3600.0),
    "hour": ("seconds", 3600.0),
}
_FORM = re.compile(r"(?P<number>\d+(?:\.\d+)?)?\s*(?P<unit>[A-Za-z]+)")
_EXAMPLES = "500 (steps), '1epoch', '10min', '2h' or '30s'"


@dataclass(frozen=True)
class Every:
    """One of the three is set."""

    steps: int | None = None
    epochs: int | None = None
    seconds: float | None = None


def every(value: int | str | None) -> Every:
    """What a job's field means; None: each epoch. Raises Wrong."""
    if value is None:
        return Every(epochs=1)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return Every(steps=value)
    found = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = found["unit"].lower() if found is not None else ""
    counted = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
    if found is None or counted is None:
        raise Wrong(f"must be {_EXAMPLES}, not {value!r}")
    kind, factor = counted
    number = float(found["number"] or 1) * factor
    if number <= 0 or (kind != "seconds" and not number.is_integer()):
        raise Wrong(f"must be a whole number of {kind} above 0, not {value!r}")
    if kind == "seconds":
        return Every(seconds=number)
    return Every(steps=int(number)) if kind == "steps" else Every(epochs=int(number))


def check(value: Any) -> Any:
    """The value as a job keeps it. Raises Wrong."""
    every(value)
    return value
