"""Which of a run's weights are meant: those it ended with, or a checkpoint's."""

from __future__ import annotations

from gdist.errors import CheckpointError, UsageError
from gdist.run.checkpoint import list_checkpoints, named_checkpoint, newest_checkpoint
from gdist.run.folder import RunFolder
from gdist.run.store import Location

_ENDED = ("done", "stopped")  # with a model file of its own; a run that failed, or goes on, may have an older session's


def choose_weights(run: RunFolder, checkpoint: str | None = None) -> Location:
    """The model file, or a checkpoint's folder. ``checkpoint``: a step, or a name such as "best"; None: the model file of a run
    that has ended, else the newest good checkpoint. Raises UsageError, CheckpointError."""
    if checkpoint is not None:
        return _named(run, checkpoint)
    result = run.result()
    if result is not None and result.get("status") in _ENDED and run.model.is_file():
        return run.model
    newest = newest_checkpoint(run.checkpoints)
    if newest is not None:
        return newest
    if run.model.is_file():
        return run.model
    raise CheckpointError(
        f"run `{run.name}` has no weights: neither a model file nor a checkpoint",
        where=str(run.path),
        help=f"train it first: gdist resume {run.name}",
    )


def _named(run: RunFolder, checkpoint: str) -> Location:
    places = list_checkpoints(run.checkpoints)
    if checkpoint.isdecimal():
        found = [place.path for place in places if place.step == int(checkpoint)]
        path = found[-1] if found else None
    else:
        path = named_checkpoint(run.checkpoints, checkpoint)
    if path is not None:
        return path
    there = dict.fromkeys(str(place.step) if place.unnamed else str(place.name) for place in places)
    raise UsageError(
        f"run `{run.name}` has no checkpoint `{checkpoint}`",
        where=str(run.checkpoints),
        help=f"it has: {', '.join(there)}" if there else "it has none; leave --checkpoint out for its model file",
    )
