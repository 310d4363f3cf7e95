"""A checkpoint becomes the state of a run that goes on: what must be the same, and what the user has accepted to differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from gdist.errors import CheckpointError, JobError
from gdist.run.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from gdist.worker.build import Built
    from gdist.worker.progress import Progress
    from gdist.worker.stopping import StopRules

Files = dict[str, dict[str, "Tensor"]]

_SHOWN = 6  # names of each kind that a sentence lists


def take_over(
    checkpoint: Checkpoint, built: Built, progress: Progress, rules: StopRules, *, accept: Collection[str] = ()
) -> list[str]:
    """Sets replica, progress and rules to the checkpoint's; returns what the user should know, as sentences.

    ``accept``: what may be another than it was: ``model``, ``data``, ``batch_size``, ``micro_batches``, or ``job`` for all that
    the job says. Raises JobError, CheckpointError with the differences."""
    state: dict[str, Any] = checkpoint.state
    said = []
    for key, here, what in (
        ("data", built.data.fingerprint, "the data is not what the run was trained on"),
        ("batch_size", built.plan.batch_size, "the batch size is another"),
        ("micro_batches", built.plan.micro_batches, "the number of micro-batches is another"),
    ):
        if state[key] == here:
            continue
        note = f"{state[key]} then, {here} now"
        if key not in accept and (key == "data" or "job" not in accept):
            help = f"restore it, start a new run, or take it as it is: gdist resume RUN --accept {key}"
            raise JobError(what, where=str(checkpoint.path), note=note, help=help)
        said.append(f"accepted: {what} ({note}); step {checkpoint.step} goes on in the order that follows from it")
    files, replica = checkpoint.files, state["replica"]
    if "model" in accept:
        files, sentences = fitting(files, built)
        numbers = replica.get("optimizer_numbers", {}).items()
        fits = _fits(checkpoint.files.get("model", {}), built.engine.replica.weights())
        replica = {**replica, "optimizer_numbers": {name: value for name, value in numbers if _parameter(name) in fits}}
        said += sentences
    try:
        said += built.engine.replica.load(files, replica)
    except CheckpointError as error:
        error.where = error.where or str(checkpoint.path)
        error.help = "restore the model as it was, or take what fits: gdist resume RUN --accept model"
        raise
    progress.load(state["progress"])
    rules.load_state(state["stopping"])
    return said


def fitting(files: Mapping[str, Mapping[str, Tensor]], built: Built) -> tuple[Files, list[str]]:
    """The checkpoint's tensors where name and shape are the model's, the model's own fresh ones elsewhere; and what was not
    taken, as sentences."""
    live = built.engine.replica.save()[0]
    saved = dict(files.get("model", {}))
    fresh = live["model"].keys() - _fits(saved, live["model"])
    shapes = [name for name in fresh if name in saved]
    found: Files = {file: dict(tensors) for file, tensors in files.items() if file != "averages" or not fresh}
    found["model"] = {name: tensor.clone() if name in fresh else saved[name] for name, tensor in live["model"].items()}
    kept = found["model"].keys() - fresh
    found["optimizer"] = {name: tensor for name, tensor in files.get("optimizer", {}).items() if _parameter(name) in kept}
    own = live.get("task", {})
    found["task"] = {
        name: tensor
        for name, tensor in {**own, **files.get("task", {})}.items()
        if name not in own or own[name].shape == tensor.shape
    }
    found["task"] = {**{name: tensor.clone() for name, tensor in own.items()}, **found["task"]}
    unknown = saved.keys() - live["model"].keys()
    said = [
        f"accepted: {len(kept)} of the model's {len(live['model'])} tensors are the checkpoint's",
        *_listed("begin fresh, since the checkpoint has none of the name", fresh - set(shapes)),
        *_listed(
            "begin fresh, since their shapes are others",
            [f"{n} {tuple(saved[n].shape)} is {tuple(live['model'][n].shape)} here" for n in shapes],
        ),
        *_listed("are the checkpoint's alone, and left out", unknown),
    ]
    return found, said


def _fits(saved: Mapping[str, Tensor], live: Mapping[str, Tensor]) -> set[str]:
    return {name for name, tensor in live.items() if name in saved and saved[name].shape == tensor.shape}


def _parameter(name: str) -> str:
    """Of ``phase/parameter/key``, an entry of an optimizer's state."""
    return name.partition("/")[2].rpartition("/")[0]


def _listed(what: str, names: Collection[str]) -> list[str]:
    if not names:
        return []
    shown = sorted(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return [f"{', '.join(shown[:_SHOWN])}{more} {what}"]
