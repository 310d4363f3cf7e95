"""Whether a run may go on with what it is given now: pure decisions over job.json, the steps taken, and the new overrides.

A run's state (weights, optimizer, position in the data, random streams) keeps its meaning only under the fields that it
follows from. Changing one of those is another run; everything else may change (a changed optimizer starts with fresh state).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gdist.errors import UsageError

FIXED = {  # field -> why it cannot change in the middle of a run
    "model": "the saved weights are those of the model it had",
    "model_args": "the saved weights are those of the model it had",
    "task": "the saved state is that of the task it had",
    "data": "the saved position counts the rows of the data it had",
    "transform": "the samples that the saved state comes from were changed by it",
    "shuffle": "the saved position is one in the order it had",
    "seed": "the order of the samples and all random numbers follow from it",
    "batch_size": "the saved step counts batches of the size it had",
    "micro_batches": "how a step is cut is part of the mathematics that the saved state comes from",
    "accumulate": "how a step is cut is part of the mathematics that the saved state comes from",
    "exact": "the bits of the saved state come from the mode it had",
    "precision": "the saved state is in the precision it had",
    "initialize": "the weights have been initialized already",
    "init_from": "the weights have been initialized already",
    "checkpoints": "the run's checkpoints lie where it said",
}
_TOGETHER = {"model": ("model", "model_args", "task"), "data": ("data",)}  # what --accept NAME lets differ, but for NAME alone
_NEVER = ("checkpoints",)
_HELD_OUT = "which rows are held out follows from it: rows that were trained on would validate"
_MAY_SPLIT = ("validation", "test")
_ENDS = ("epochs", "steps")
_RESOLVED = ("batch_size", "micro_batches", "accumulate")


def check_accepted(accept: Sequence[str]) -> None:
    """Raises UsageError for a word that names nothing that could differ."""
    known = ["job", *_TOGETHER, *(field for field in (*FIXED, *_MAY_SPLIT) if field not in (*_NEVER, "model", "data"))]
    for word in accept:
        if word not in known:
            help = f"what may differ: {', '.join(known)}"
            raise UsageError(f"`{word}` is nothing that could be accepted", where=f"--accept {','.join(accept)}", help=help)


def check_changes(before: Mapping[str, Any], overrides: Sequence[str], *, accept: Sequence[str] = ()) -> None:
    """Raises UsageError for the first override under which the saved state would lose its meaning, and says why.

    ``before``: the job as resolved, from job.json. An override that says what the job says already is let through, and so is
    one of what the user has accepted to differ: ``model``, ``data``, a field's name, or ``job`` for all but these two.
    """
    for word in overrides:
        path, _, text = word.partition("=")
        field = path.split(".")[0]
        if _accepted(field, accept):
            continue
        if (why := _fixed(field, path, before, text)) and not _same(_look_up(before, path), text):
            raise _refused(field, why, where=f"command line: {word}", was=_look_up(before, path))


def check_job(before: Mapping[str, Any], after: Mapping[str, Any], *, accept: Sequence[str] = ()) -> None:
    """The same for a job made in Python, both as ``describe`` gives them. (How a step is cut stands in job.json as resolved;
    the worker compares that with the checkpoint.)"""
    for field in (*FIXED, *_MAY_SPLIT):
        was, now = _share_alone(before.get(field)), _share_alone(after.get(field))
        why = _HELD_OUT if field in _MAY_SPLIT and (_splits(was) or _splits(now)) else FIXED.get(field)
        if why and field in before and field not in _RESOLVED and was != now and not _accepted(field, accept):
            raise _refused(field, why, where=f"job.{field}: {now}", was=was)


def changed(overrides: Sequence[str]) -> dict[str, Any]:
    """What the overrides set, by path."""
    words = (word.partition("=") for word in overrides)
    return {path: text if _number(text) is None else _number(text) for path, _, text in words}


def check_end(
    given: Mapping[str, Any], *, run: str, result: Mapping[str, Any] | None, steps: int, steps_per_epoch: int | None
) -> None:
    """Raises UsageError where nothing is left to train: the run is done, and no later end is given.

    ``given``: the fields that are to change; ``result``: result.json, None if the run was killed; ``steps``: taken so far.
    """
    taken = f"{steps} steps" + (f", {steps / steps_per_epoch:.4g} epochs" if steps_per_epoch else "")
    for end, each in (("epochs", steps_per_epoch), ("steps", 1)):
        wanted = given.get(end)
        if isinstance(wanted, int) and each is not None and wanted * each <= steps:
            mend = f"give more: gdist resume {run} {end}={2 * max(1, -(-steps // each))}"
            raise UsageError(f"{end}={wanted} lies behind: run `{run}` has taken {taken}", help=mend)
    if result is None or result.get("status") != "done" or any(end in given for end in _ENDS):
        return
    if result.get("reason") == "all steps taken":
        more = f"epochs={2 * max(1, steps // steps_per_epoch)}" if steps_per_epoch else f"steps={2 * steps}"
        raise UsageError(f"run `{run}` is complete: it has taken {taken}", help=f"to go further: gdist resume {run} {more}")
    if not any(path.partition(".")[0] == "stop" for path in given):
        raise UsageError(
            f"run `{run}` is complete: {result.get('reason')}",
            help="loosen the rule that ended it (stop.NAME=VALUE), or give a later end (epochs=N)",
        )


def joined(before: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """The overrides of a run that goes on. A new one takes the place of an old one for the same field, for a field of that
    (``optimizer=sgd`` ends ``optimizer.eps=...``), and for the other of ``epochs`` and ``steps``."""
    paths = {word.partition("=")[0] for word in new}
    paths |= set(_ENDS) if paths & set(_ENDS) else set()
    kept = [word for word in before if not any(f"{word.partition('=')[0]}.".startswith(f"{path}.") for path in paths)]
    return (*kept, *new)


def _accepted(field: str, accept: Sequence[str]) -> bool:
    of_two = [name for name, fields in _TOGETHER.items() if field in fields]
    everything = "job" in accept and not of_two and field not in _NEVER
    return everything or (field in accept and field not in _NEVER) or any(name in accept for name in of_two)


def _fixed(field: str, path: str, before: Mapping[str, Any], text: str) -> str | None:
    if field in _MAY_SPLIT:  # a source of its own may change; what is held out of the training rows may not
        now_splits = (path == field and _number(text) is not None) or (path != field and before.get(field) is None)
        return _HELD_OUT if now_splits or _splits(before.get(field)) else None
    return FIXED.get(field)


def _splits(value: Any) -> bool:
    """Whether a job's ``validation`` or ``test`` is taken from the training rows."""
    return isinstance(value, float) or (isinstance(value, Mapping) and value.get("kind") == "Split")


def _share_alone(value: Any) -> Any:
    """``Split(share=0.1)`` says the same as 0.1."""
    alone = isinstance(value, Mapping) and value.get("kind") == "Split" and value.keys() == {"kind", "share"}
    return value["share"] if alone else value


def _refused(field: str, why: str, *, where: str, was: Any) -> UsageError:
    shown = f" (it is {was})" if isinstance(was, bool | int | float | str) else ""
    return UsageError(
        f"`{field}` cannot change in the middle of a run",
        where=where,
        note=f"{why}{shown}",
        help="leave it as it was, or begin a new run with it: gdist train JOB; init_from=RUN takes the weights along"
        + (f"; or go on with what still fits: --accept {name}" if (name := _word(field)) else ""),
    )


def _word(field: str) -> str | None:
    """What the user accepts to let it differ."""
    return next((name for name, fields in _TOGETHER.items() if field in fields), None if field in _NEVER else field)


def _look_up(job: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; ``model.width`` is an argument of the model."""
    parts = path.split(".")
    if parts[0] == "model" and len(parts) > 1:
        parts[0] = "model_args"
    if parts[0] == "accumulate":
        parts[0] = "micro_batches"
    value: Any = job
    if parts[0] == "validation":
        value = {"validation": _share_alone(job.get("validation"))}
        parts = parts[:1] if parts[1:] == ["share"] and isinstance(value["validation"], float) else parts
    for part in parts:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _same(value: Any, text: str) -> bool:
    number = _number(text)
    if isinstance(value, int | float) and not isinstance(value, bool) and number is not None:
        return bool(value == number)
    return value is not None and str(value).lower() == text.lower()


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number
