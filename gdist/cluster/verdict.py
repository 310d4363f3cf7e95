"""A death as an error: which worker, where it was, the cause as far as known, its last words; and gdist's faults."""

from __future__ import annotations

import traceback
from typing import Any

from gdist.errors import GdistError, RunFailed, WorkerLost

SHOWN_LINES = 5


def worker_lost(slot: int, facts: dict[str, Any]) -> WorkerLost:
    """``facts``: an agent's report (pid, host, cause, phase, step, seconds_ago, last_lines)."""
    notes = [facts["note"]] if facts.get("note") else []
    if facts.get("phase"):
        notes.append(f"last seen in {facts['phase']} at step {facts['step']}, {facts['seconds_ago']:.1f} s before")
    if facts.get("last_lines"):
        notes.append("its last lines:\n" + "\n".join(f"    {line}" for line in _last_words(facts["last_lines"])))
    return WorkerLost(
        f"worker {slot} was lost: {facts['cause']}",
        where=f"pid {facts['pid']} on {facts['host']}" if facts.get("pid") else facts.get("host"),
        note="; ".join(notes) or None,
        help="go on from the last good step: gdist resume RUN",
    )


def as_gdist(error: BaseException) -> GdistError:
    """gdist's own errors as they are; any other exception is a fault of gdist and carries its whole traceback."""
    if isinstance(error, GdistError):
        return error
    return RunFailed(
        f"gdist failed: {type(error).__name__}: {error}",
        note="".join(traceback.format_exception(error))[-4000:],
        help="this is a mistake in gdist: please report it",
    )


def _last_words(lines: list[str]) -> list[str]:
    """The lines that say most: a crash of the interpreter names itself first and then lists all that was loaded."""
    for i, line in enumerate(lines):
        if line.startswith("Fatal Python error:"):
            return [line for line in lines[i:] if line.strip()][: SHOWN_LINES + 1]
    return lines[-SHOWN_LINES:]
