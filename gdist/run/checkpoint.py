"""Checkpoints: one folder each, whole or absent, every byte under a hash. No pickle anywhere.

    checkpoints/step-00001200.g3/                       of step 1200, written in generation 3 (the first is not named)
    ├── model.safetensors, optimizer.safetensors, ...   tensors by name; or, of several workers that wrote together,
    │   model-1-of-2.safetensors ... part-1-of-2.json   the share of each (shares.py), and its own small manifest
    ├── state.json                                      everything else
    └── manifest.json                                   written last: size and SHA-256 of each file, and of itself

Invariants: a folder without a manifest is no checkpoint (an interrupted write, removed by a later writer); what a manifest
lists was durable before the manifest was; a folder's name is never used twice (``step-00001200.2``); nothing is deleted
before its successor is durable. A named checkpoint (``best-step-00001200``) is outlived only by the next of its name.

Here they are read; checkpoint_write.py writes them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gdist.errors import CheckpointError, DataError
from gdist.run.store import Location, Store, Stored, above, below, open_store

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"
STATE = "state.json"
FORMAT = 2
READS = (1, 2)

_FOLDER = re.compile(r"(?:(?P<name>[A-Za-z0-9_.-]+)-)?step-(?P<step>\d{8,})(?:\.g(?P<generation>\d+))?(?:\.(?P<again>\d+))?")
_PART = re.compile(r"(?P<file>.+?)(?:-\d+-of-\d+)?\.safetensors")
_MEND = "go on from an older one: gdist resume takes the newest good one by itself"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What was saved: tensors by file and name, and the state's JSON."""

    path: Location
    step: int
    name: str | None
    files: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


@dataclass(frozen=True, order=True)
class Place:
    """A checkpoint's folder, ordered by step, then by generation, then by how often that step was written in it."""

    step: int
    generation: int
    again: int
    unnamed: bool
    folder: str
    path: Location = field(compare=False)
    written: float = field(compare=False)  # s since 1970; 0: it has no manifest
    bytes: int = field(compare=False)

    @property
    def name(self) -> str | None:
        return None if self.unnamed else self.folder.partition("-step-")[0]

    @property
    def whole(self) -> bool:
        """Whether it has a manifest: else somebody is writing it, or was."""
        return self.written > 0


def read_checkpoint(path: Location) -> Checkpoint:
    """The checkpoint in ``path``, sizes and hashes checked. Raises CheckpointError that names the file and the mend."""
    from gdist.run.shares import join

    store, folder = _at(path)
    manifest = verify_checkpoint(path)
    parts: dict[str, list[str]] = {}
    for file in sorted(manifest["files"]):
        if found := _PART.fullmatch(file):
            parts.setdefault(found["file"], []).append(file)
    tensors = {
        name: join((store.tensors(folder, file) for file in files), where=store.place(folder)) for name, files in parts.items()
    }
    state = json.loads(b"".join(store.pieces(folder, STATE)))
    return Checkpoint(path=path, step=manifest["step"], name=manifest["name"], files=tensors, state=state)


def read_state(path: Location) -> dict[str, Any]:
    """The state's JSON alone, not verified."""
    store, folder = _at(path)
    found: dict[str, Any] = json.loads(b"".join(store.pieces(folder, STATE)))
    return found


def verify_checkpoint(path: Location) -> dict[str, Any]:
    """The manifest, after each file's size and hash were found to be as it says. Raises CheckpointError."""
    store, folder = _at(path)
    manifest = read_manifest(store, folder)
    for error in _problems(store, folder, manifest):
        raise error
    return manifest


def problems(path: Location) -> list[CheckpointError]:
    """Everything that is wrong with the checkpoint: none, if it is good."""
    store, folder = _at(path)
    try:
        return list(_problems(store, folder, read_manifest(store, folder)))
    except CheckpointError as error:
        return [error]


def newest_checkpoint(where: Location, *, on_bad: Callable[[CheckpointError], None] | None = None) -> Location | None:
    """The newest checkpoint under ``where`` that verifies; None if there is none. ``on_bad`` hears of each one passed over."""
    for place in reversed(list_checkpoints(where)):
        try:
            verify_checkpoint(place.path)
        except CheckpointError as error:
            if on_bad is not None:
                on_bad(error)
            continue
        return place.path
    return None


def named_checkpoint(where: Location, name: str) -> Location | None:
    """The newest checkpoint of that name (not verified); None if there is none."""
    return next((place.path for place in reversed(list_checkpoints(where)) if place.name == name), None)


def list_checkpoints(where: Location) -> list[Place]:
    """The checkpoints that have a manifest (not verified), oldest first. Raises CheckpointError where a store is away."""
    return sorted(place for place in places(where) if place.whole)


def places(where: Location) -> list[Place]:
    """The same, in any order, with those that are not whole."""
    try:
        listing = open_store(where).listing()
    except (OSError, DataError) as error:
        raise unreadable("the checkpoints cannot be listed", error, where=str(where)) from error
    return [_place(where, folder, found, files) for folder, files in listing.items() if (found := _FOLDER.fullmatch(folder))]


def folder_name(step: int, *, generation: int, name: str | None) -> str:
    """The folder's name, the same on all workers of a generation."""
    return (f"{name}-" if name else "") + f"step-{step:08d}" + (f".g{generation}" if generation > 1 else "")


def remove_leftovers(where: Location, *, which: Callable[[Place], bool] = lambda place: True) -> None:
    """Takes away what interrupted writers left, of the places that ``which`` names."""
    store = open_store(where)
    for place in places(where):
        if not place.whole and which(place):
            store.remove(place.folder, first=MANIFEST)


def remove_checkpoint(path: Location) -> None:
    """Deletes a checkpoint, manifest first: it is whole or no checkpoint at each moment."""
    store, folder = _at(path)
    store.remove(folder, first=MANIFEST)


def read_manifest(store: Store, folder: str) -> dict[str, Any]:
    """Raises CheckpointError where it is missing, altered, or of another format."""
    where = store.place(folder, MANIFEST)
    try:
        content = json.loads(b"".join(store.pieces(folder, MANIFEST)))
        told = content.pop("manifest_sha256")
    except FileNotFoundError:
        raise CheckpointError("this is not a whole checkpoint: it has no manifest", where=where, help=_MEND) from None
    except (OSError, DataError) as error:
        raise unreadable("the checkpoint's manifest cannot be read", error, where=where) from error
    except (ValueError, KeyError, AttributeError) as error:
        raise CheckpointError("the checkpoint's manifest is altered", where=where, note=str(error), help=_MEND) from None
    if told != digest(content):
        raise CheckpointError("the checkpoint's manifest is altered", where=where, help=_MEND)
    if content["format"] not in READS:
        what = f"the checkpoint has format {content['format']}, this gdist reads {' and '.join(map(str, READS))}"
        raise CheckpointError(what, where=where, help="use the gdist version in job.json's `versions`")
    return dict(content)


def digest(content: dict[str, Any]) -> str:
    """Of a manifest without its own hash."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def unreadable(what: str, error: Exception, *, where: str) -> CheckpointError:
    """A store's or a disk's error in our words."""
    why = error.what if isinstance(error, DataError) else getattr(error, "strerror", None) or str(error)
    note = error.note if isinstance(error, DataError) else None
    help = error.help if isinstance(error, DataError) else "check the disk and the permissions"
    return CheckpointError(f"{what}: {why}", where=where, note=note, help=help)


def _problems(store: Store, folder: str, manifest: dict[str, Any]) -> Iterator[CheckpointError]:
    for file, expected in manifest["files"].items():
        where, hashed, size = store.place(folder, file), hashlib.sha256(), 0
        try:
            for piece in store.pieces(folder, file):
                hashed.update(piece)
                size += len(piece)
        except FileNotFoundError:
            yield CheckpointError(f"{file} of the checkpoint is missing", where=where, help=_MEND)
            continue
        except (OSError, DataError) as error:
            yield unreadable(f"{file} of the checkpoint cannot be read", error, where=where)
            continue
        if size != expected["bytes"]:
            what = f"{file} of the checkpoint has {size} bytes, written were {expected['bytes']}"
            yield CheckpointError(what, where=where, note="the file is truncated or was replaced", help=_MEND)
        elif hashed.hexdigest() != expected["sha256"]:
            what = f"{file} of the checkpoint is altered: its SHA-256 is not the one that was written"
            yield CheckpointError(what, where=where, note="a bad disk, or somebody edited it", help=_MEND)


def _place(where: Location, folder: str, found: re.Match[str], files: Mapping[str, Stored]) -> Place:
    written = files[MANIFEST].written if MANIFEST in files else 0.0
    size = sum(file.bytes for file in files.values())
    unnamed = found["name"] is None
    generation, again = int(found["generation"] or 1), int(found["again"] or 1)
    return Place(int(found["step"]), generation, again, unnamed, folder, below(where, folder), written, size)


def _at(path: Location) -> tuple[Store, str]:
    where, folder = above(path)
    return open_store(where), folder
