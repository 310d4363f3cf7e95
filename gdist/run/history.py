"""Which metric lines count when a run has gone back to a checkpoint and on again (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def that_count(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of the run's one history, in the order of steps.

    A step line at or below the last step means the run went back: what lay past it is taken out. A line of a generation
    lower than the one already there for its step comes from a worker that was given up, and is left out.
    """
    kept: list[dict[str, Any]] = []
    for line in lines:
        step = line.get("step")
        if step is None:
            continue
        same = next((old for old in reversed(kept) if _place(old) <= _place(line)), None)
        if same is not None and _place(same) == _place(line) and _generation(line) < _generation(same):
            continue
        while kept and _place(kept[-1]) >= _place(line):
            kept.pop()
        kept.append(line)
    return kept


def _place(line: dict[str, Any]) -> tuple[int, bool]:
    return (int(line["step"]), line.get("kind") != "step")  # a step's evaluation comes after it


def _generation(line: dict[str, Any]) -> int:
    return int(line.get("generation") or 0)
