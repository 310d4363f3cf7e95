"""The error that a death becomes: which worker, where it was, what is known of the cause, its last words."""

from __future__ import annotations

from typing import Any

from gdist.errors import WorkerLost

SHOWN_LINES = 5


def worker_lost(slot: int, facts: dict[str, Any]) -> WorkerLost:
    """``facts``: an agent's report (pid, host, cause, phase, step, seconds_ago, last_lines)."""
    notes = []
    if facts.get("phase"):
        notes.append(f"last seen in {facts['phase']} at step {facts['step']}, {facts['seconds_ago']:.1f} s before")
    if facts.get("last_lines"):
        notes.append("its last lines:\n" + "\n".join(f"    {line}" for line in _last_words(facts["last_lines"])))
    return WorkerLost(
        f"worker {slot} was lost: {facts['cause']}",
        where=f"pid {facts['pid']} on {facts['host']}",
        note="; ".join(notes) or None,
        help="go on from the last good step: gdist resume RUN",
    )


def _last_words(lines: list[str]) -> list[str]:
    """The lines that say most: a crash of the interpreter names itself first and then lists all that was loaded."""
    for i, line in enumerate(lines):
        if line.startswith("Fatal Python error:"):
            return [line for line in lines[i:] if line.strip()][: SHOWN_LINES + 1]
    return lines[-SHOWN_LINES:]
