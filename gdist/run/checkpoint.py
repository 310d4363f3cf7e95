"""Checkpoints: one folder each, whole or absent, every byte under a hash. No pickle anywhere.

    checkpoints/step-00001200/
    ├── model.safetensors, optimizer.safetensors, ...   tensors by name
    ├── state.json                                      everything else
    └── manifest.json                                   written last: size and SHA-256 of each file, and of itself

Invariants: a folder without a manifest is no checkpoint (an interrupted write, removed by the next writer); what a manifest
lists was on the disk before the manifest was; a folder's name is never used twice (``step-00001200.2``); nothing is deleted
before its successor is durable. A named checkpoint (``best-step-00001200``) is outlived only by the next of its name.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.durable import sha256_of, sync_folder, write_whole
from gdist.errors import CheckpointError
from gdist.run.tensors import read_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"
STATE = "state.json"
FORMAT = 1

_FOLDER = re.compile(r"(?:(?P<name>[A-Za-z0-9_.-]+)-)?step-(?P<step>\d{8,})(?:\.(?P<again>\d+))?")
_MEND = "go on from an older one: gdist resume takes the newest good one by itself"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What was saved: tensors by file and name, and the state's JSON."""

    path: Path
    step: int
    name: str | None
    files: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


@dataclass(frozen=True, order=True)
class Place:
    """A checkpoint's folder, ordered by step, then by how often that step was written."""

    step: int
    again: int
    unnamed: bool
    path: Path

    @property
    def name(self) -> str | None:
        return None if self.unnamed else self.path.name.partition("-step-")[0]


def write_checkpoint(
    folder: Path, step: int, *, files: Mapping[str, Mapping[str, Tensor]], state: dict[str, Any], name: str | None = None
) -> Path:
    """Writes one checkpoint durably and returns its path. ``files``: file name without suffix -> tensors by name.

    Raises CheckpointError; what was written so far is taken away then, and older checkpoints are as they were.
    """
    target: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = _new_folder(folder, (f"{name}-" if name else "") + f"step-{step:08d}")
        for file, tensors in files.items():
            save_tensors(target / f"{file}.safetensors", tensors)
        write_whole(target / STATE, json.dumps(state).encode())
        sync_folder(folder)
        content: dict[str, Any] = {"format": FORMAT, "step": step, "name": name, "created": time.time()}
        content["files"] = {path.name: _described(path) for path in sorted(target.iterdir())}
        content["manifest_sha256"] = _digest(content)
        write_whole(target / MANIFEST, json.dumps(content, indent=2).encode())
    except (OSError, CheckpointError, TypeError, ValueError) as error:
        if target is not None:
            shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, CheckpointError):
            raise
        why = error.strerror if isinstance(error, OSError) else str(error)
        help = "free the disk or mend its permissions: the next checkpoint tries again"
        raise CheckpointError(
            f"the checkpoint of step {step} cannot be written: {why}", where=str(folder), help=help
        ) from error
    return target


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The checkpoint in ``path``, sizes and hashes checked. Raises CheckpointError that names the file and the mend."""
    path = Path(path)
    manifest = verify_checkpoint(path)
    tensors = {Path(file).stem: read_tensors(path / file)[0] for file in manifest["files"] if file.endswith(".safetensors")}
    state = json.loads((path / STATE).read_bytes())
    return Checkpoint(path=path, step=manifest["step"], name=manifest["name"], files=tensors, state=state)


def verify_checkpoint(path: Path) -> dict[str, Any]:
    """The manifest, after each file's size and hash were found to be as it says. Raises CheckpointError."""
    manifest = _manifest(path)
    for file, expected in manifest["files"].items():
        place = path / file
        if not place.is_file():
            raise CheckpointError(f"{file} of the checkpoint is missing", where=str(place), help=_MEND)
        size = place.stat().st_size
        if size != expected["bytes"]:
            what = f"{file} of the checkpoint has {size} bytes, written were {expected['bytes']}"
            raise CheckpointError(what, where=str(place), note="the file is truncated or was replaced", help=_MEND)
        if sha256_of(place) != expected["sha256"]:
            what = f"{file} of the checkpoint is altered: its SHA-256 is not the one that was written"
            raise CheckpointError(what, where=str(place), note="a bad disk, or somebody edited it", help=_MEND)
    return manifest


def newest_checkpoint(folder: Path, *, on_bad: Callable[[CheckpointError], None] | None = None) -> Path | None:
    """The newest checkpoint under ``folder`` that verifies; None if there is none. ``on_bad`` hears of each one passed over."""
    for place in reversed(list_checkpoints(folder)):
        try:
            verify_checkpoint(place.path)
        except CheckpointError as error:
            if on_bad is not None:
                on_bad(error)
            continue
        return place.path
    return None


def named_checkpoint(folder: Path, name: str) -> Path | None:
    """The newest checkpoint of that name (not verified); None if there is none."""
    return next((place.path for place in reversed(list_checkpoints(folder)) if place.name == name), None)


def list_checkpoints(folder: Path) -> list[Place]:
    """The checkpoints that have a manifest (not verified), oldest first."""
    return sorted(place for place in _places(folder) if (place.path / MANIFEST).is_file())


def remove_leftovers(folder: Path) -> None:
    """Takes away what interrupted writers left. Only for the one writer of the folder."""
    for place in _places(folder):
        if not (place.path / MANIFEST).is_file():
            shutil.rmtree(place.path, ignore_errors=True)


def remove_checkpoint(path: Path) -> None:
    """Deletes a checkpoint, manifest first: it is whole or no checkpoint at each moment."""
    (path / MANIFEST).unlink(missing_ok=True)
    sync_folder(path)
    shutil.rmtree(path, ignore_errors=True)


def _places(folder: Path) -> Iterator[Place]:
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return
    for path in paths:
        if (found := _FOLDER.fullmatch(path.name)) and path.is_dir():
            yield Place(int(found["step"]), int(found["again"] or 1), found["name"] is None, path)


def _new_folder(folder: Path, name: str) -> Path:
    for again in itertools.count(1):
        target = folder / (name if again == 1 else f"{name}.{again}")
        try:
            target.mkdir()
        except FileExistsError:
            continue
        return target
    raise AssertionError("unreachable")


def _manifest(path: Path) -> dict[str, Any]:
    place = path / MANIFEST
    try:
        content = json.loads(place.read_bytes())
        told = content.pop("manifest_sha256")
    except FileNotFoundError:
        raise CheckpointError("this is not a whole checkpoint: it has no manifest", where=str(place), help=_MEND) from None
    except (ValueError, KeyError, AttributeError) as error:
        raise CheckpointError("the checkpoint's manifest is altered", where=str(place), note=str(error), help=_MEND) from None
    if told != _digest(content):
        raise CheckpointError("the checkpoint's manifest is altered", where=str(place), help=_MEND)
    if content["format"] != FORMAT:
        what = f"the checkpoint has format {content['format']}, this gdist reads {FORMAT}"
        raise CheckpointError(what, where=str(place), help="use the gdist version in job.json's `versions`")
    return dict(content)


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": os.stat(path).st_size, "sha256": sha256_of(path)}


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
