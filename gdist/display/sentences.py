"""What is said of a run in words: the lines that events are worth, and values by their names. Alike in all displays (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gdist.display import words
from gdist.display.changes import change_sentences
from gdist.display.standing import Standing
from gdist.records import Update


def told(update: Update, standing: Standing) -> Iterator[tuple[dict[str, Any], str]]:
    """Each event of ``update`` with each line that it is worth. ``standing`` takes the update meanwhile."""
    standing.take_lines(update)
    for event in update.events:
        lines = sentences(event, standing)
        standing.take_event(event)
        yield from ((event, line) for line in lines)


def sentences(event: dict[str, Any], standing: Standing) -> list[str]:
    """The lines for ``event``; none where the numbers show it already, or where an error or the summary will say it.
    ``standing``: as it was before the event."""
    name = event.get("event")
    if name == "started":
        return [_started(event)]
    if name == "opened":
        return [f"{event['run']} by {event['weights']}, on {event['data']}: {words.plural(event['samples'], 'row')}"]
    if name == "skipped_step":
        return [f"step {event.get('step')} skipped: {event.get('why', 'not finite')}"]
    if name == "bad_rows":
        such = f", such as {event['examples'][0]}" if event.get("examples") else ""
        return [f"{words.plural(event['rows'], 'bad row')} left out of epoch {event.get('epoch')}{such}"]
    if name == "explained":
        return [f"note: {event.get('text')}"]
    return change_sentences(event, standing.members)


def row_words(standing: Standing) -> str:
    """How far a trained run has come with the rows that it is asked about, as one line."""
    parts = [f"{standing.rows:,} of {words.plural(standing.rows_of or 0, 'row')}", f"{standing.share_done or 0:.0%}"]
    if (pace := standing.samples_per_s()) is not None:
        parts.append(f"{words.count(pace)} rows/s")
    parts.append(people(standing))
    if (left := standing.seconds_left()) is not None:
        parts.append(f"{words.duration(left)} left")
    return "  ".join(parts)


def people(standing: Standing) -> str:
    """``2 workers``; ``1 of 2 workers`` while the other is being prepared."""
    members = standing.members
    going = len(members.slots) - len(members.staying)
    now, coming = standing.workers or 1, len(members.preparing) - going
    begun = members.generation is not None
    return f"{now} of {now + coming} workers" if begun and coming > 0 else words.plural(now, "worker")


def label(name: str) -> str:
    """A validation value's name as people say it: ``accuracy``, but ``validation loss``."""
    return "validation loss" if name == "loss" else name.replace("_", " ")


def _started(event: dict[str, Any]) -> str:
    parts = []
    if event.get("parameters") is not None:
        parts.append(words.plural(event["parameters"], "parameter"))
    if event.get("samples") is not None:
        beside = [(event.get("validation_samples"), "to validate"), (event.get("test_samples"), "to test")]
        listed = ", ".join(f"{words.count(samples)} {what}" for samples, what in beside if samples)
        parts.append(words.plural(event["samples"], "sample") + (f" ({listed})" if listed else ""))
    if event.get("total_steps"):
        epochs = f" in {words.plural(event['epochs'], 'epoch')}" if event.get("epochs") else ""
        parts.append(words.plural(event["total_steps"], "step") + epochs)
    where = f" in {words.path(event['run_dir'])}" if event.get("run_dir") else ""
    begins = f" goes on after step {event.get('step')}" if event.get("resumed") else ""
    return f"{event.get('run', 'the run')}{begins}{where}: {', '.join(parts)}"
