"""What ``gdist checkpoints`` says of a run: its checkpoints, from their manifests, verified if asked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from gdist.data.storage.secrets import shown_url
from gdist.errors import CheckpointError, UsageError
from gdist.run.checkpoint import Place, list_checkpoints, problems, read_manifest
from gdist.run.folder import RunFolder
from gdist.run.store import LocalStore, Location, is_url, open_store


def listed(run: RunFolder, *, verify: bool) -> dict[str, Any]:
    """``run``, ``where``, ``verified``, ``newest_good`` (its folder's name; None: there is none) and ``checkpoints``, oldest
    first: step, name, folder, generation, parts, bytes, epoch, train, validation, created (s since 1970), age_seconds, and
    ``damage``: each that was found, with its place. Without ``verify`` only the manifests are looked at."""
    where = run.checkpoints
    found = [_described(where, place, verify=verify) for place in list_checkpoints(where)]
    good = [each["folder"] for each in found if not each["damage"]]
    return {
        "run": run.name,
        "where": shown_url(str(where)),
        "verified": verify,
        "newest_good": good[-1] if good else None,
        "checkpoints": found,
    }


def keep_as(run: RunFolder, name: str | None, *, step: int | None) -> None:
    """Gives the newest good checkpoint, or that of ``step``, a name of its own: it stays, whatever is written later. Raises
    UsageError, CheckpointError."""
    where = run.checkpoints
    if name is None:
        raise UsageError("--step says which one gets a name", help="give it one: --name N")
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] in ".-" or name == "best":
        what = f"`{name}` cannot be a checkpoint's name"
        raise UsageError(what, where=f"--name {name}", help="letters, digits, `-`, `_` and `.`; `best` is the run's own word")
    if is_url(where):
        raise UsageError("a checkpoint in an object store keeps the name it was written with", where=shown_url(str(where)))
    places = [place for place in reversed(list_checkpoints(where)) if place.unnamed and step in (None, place.step)]
    place = next((place for place in places if not problems(place.path)), None)
    if place is None:
        which = f"of step {step} " if step is not None else ""
        raise CheckpointError(f"run `{run.name}` has no good checkpoint {which}without a name", where=str(where))
    LocalStore(Path(where)).rename(place.folder, f"{name}-{place.folder}")


def _described(where: Location, place: Place, *, verify: bool) -> dict[str, Any]:
    about: dict[str, Any] = {}
    damage: list[CheckpointError] = []
    try:
        about = read_manifest(open_store(where), place.folder)
    except CheckpointError as error:
        damage = [error]
    if verify and not damage:
        damage = problems(place.path)
    created = about.get("created", place.written)
    return {
        "step": place.step,
        "name": place.name,
        "folder": place.folder,
        "generation": about.get("generation", place.generation),
        "parts": about.get("parts", 1),
        "bytes": place.bytes,
        "epoch": about.get("epoch"),
        "train": about.get("train") or {},
        "validation": about.get("validation") or {},
        "created": created,
        "age_seconds": max(0.0, time.time() - created),
        "damage": [{"what": error.what, "where": error.where} for error in damage],
    }
