"""Writing a checkpoint: each worker its own part, then one of them the manifest. No worker speaks to another.

All members of a generation know the folder's name and the cut, so each writes its files and, last, ``part-2-of-3.json`` with
their hashes. The first part's writer waits for the others' files of that name, a bounded time, and then writes the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gdist.errors import CheckpointError, DataError
from gdist.fault_points import fault_point
from gdist.run.checkpoint import FORMAT, MANIFEST, STATE, digest, folder_name
from gdist.run.store import Location, Store, below, open_store

if TYPE_CHECKING:
    from torch import Tensor

Files = dict[str, dict[str, Any]]  # name -> bytes, sha256
# Why the checkpoint is of no use any more, or None. Asked with the seconds for which nothing has come of the parts that are
# missing, or None where none is.
GivenUp = Callable[[float | None], str | None]

_FIRST_LOOK_S, _LATER_LOOKS_S = 0.01, 0.25
_MEND = "free the disk or mend its permissions: it is tried again soon"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one worker writes. ``tensors``, ``words``: by file without suffix, CPU and dense; and each file's metadata.
    ``state``: JSON, of the first part alone; ``facts``: what a list of checkpoints may say of it."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    words: Mapping[str, Mapping[str, str]]
    state: dict[str, Any]
    facts: dict[str, Any]
    name: str | None = None
    generation: int = 1
    number: int = 0
    parts: int = 1

    @property
    def leads(self) -> bool:
        return self.number == 0


class Written(NamedTuple):
    """A checkpoint that is durable, and the bytes of its files."""

    path: Location
    bytes: int


def write_part(where: Location, part: Part, *, given_up: GivenUp, wait_s: float) -> Written | None:
    """Writes the part; the first one's writer finishes the checkpoint and returns where it is, the others return None.

    ``wait_s``: how long the first waits while nothing comes of the others. Raises CheckpointError; the unfinished checkpoint is
    taken away then, and older ones are as they were."""
    folder = folder_name(part.step, generation=part.generation, name=part.name)
    store = open_store(where)
    made = False
    try:
        fault_point("checkpoint_begin")
        if part.parts == 1:
            folder = _new_folder(store, folder)
        else:
            store.make(folder, new=False)
            _refuse_whole(store, folder)
        made = True
        files = _write_files(store, folder, part)
        if not part.leads:
            return None
        files |= _await_parts(store, folder, part, given_up, wait_s)
        if why := given_up(None):
            raise CheckpointError(f"the checkpoint of step {part.step} was given up: {why}", where=store.place(folder))
        _write_manifest(store, folder, part, files)
    except (OSError, DataError, CheckpointError, TypeError, ValueError) as error:
        failure = _failure(error, part, where)
        if made and part.leads:
            _quietly(lambda: store.remove(folder, first=MANIFEST))
        elif made:  # whoever waits for this part need not
            _quietly(lambda: _write_note(store, folder, part, {"error": failure.what}))
        raise failure from error
    return Written(below(where, folder), sum(int(file["bytes"]) for file in files.values()))


def write_checkpoint(
    where: Location,
    step: int,
    *,
    files: Mapping[str, Mapping[str, Tensor]],
    state: dict[str, Any],
    name: str | None = None,
    generation: int = 1,
) -> Location:
    """Writes one checkpoint alone, durably, and returns its path. ``files``: file name without suffix -> tensors by name.

    Raises CheckpointError; what was written so far is taken away then, and older checkpoints are as they were."""
    from gdist.run.copies import copy_share
    from gdist.run.shares import share

    pieces, words = share(files, 0, 1)
    part = Part(
        step=step, tensors=copy_share(pieces).tensors, words=words, state=state, facts={}, name=name, generation=generation
    )
    written = write_part(where, part, given_up=lambda idle_s: None, wait_s=0)
    assert written is not None, "the first part's writer finishes"
    return written.path


def _write_files(store: Store, folder: str, part: Part) -> Files:
    from gdist.run.tensor_stream import stream

    end = f"-{part.number + 1}-of-{part.parts}" if part.parts > 1 else ""
    files: Files = {}
    for file, tensors in part.tensors.items():
        name = f"{file}{end}.safetensors"
        files[name] = store.write(folder, name, stream(tensors, part.words.get(file, {})))
    if part.leads:
        files[STATE] = store.write(folder, STATE, [json.dumps(part.state).encode()])
    if part.parts > 1:
        files |= _write_note(store, folder, part, {"files": dict(files)})
    fault_point("checkpoint_part")
    return files


def _write_note(store: Store, folder: str, part: Part, content: dict[str, Any]) -> Files:
    name = _note(part.number, part.parts)
    content = {"step": part.step, "generation": part.generation, **content}
    return {name: store.write(folder, name, [json.dumps(content, indent=2).encode()])}


def _await_parts(store: Store, folder: str, part: Part, given_up: GivenUp, wait_s: float) -> Files:
    """The files of all other parts."""
    found: Files = {}
    missing = {_note(number, part.parts): number for number in range(1, part.parts)}
    there, moved_at, pause = 0, time.monotonic(), _FIRST_LOOK_S
    while missing:
        for name in list(missing):
            try:
                raw = b"".join(store.pieces(folder, name))
            except FileNotFoundError:
                continue
            note = json.loads(raw)
            if "error" in note:
                raise CheckpointError(f"part {missing[name] + 1} of {part.parts}: {note['error']}", where=store.place(folder))
            if (note["step"], note["generation"]) != (part.step, part.generation):
                raise CheckpointError(f"{name} is of another checkpoint", where=store.place(folder, name))
            found |= note["files"]
            found[name] = _described(raw)
            del missing[name]
        if not missing:
            return found
        now, size = time.monotonic(), sum(file.bytes for file in store.listing().get(folder, {}).values())
        if size != there:
            there, moved_at = size, now
        why = given_up(now - moved_at)
        if why is None and now - moved_at > wait_s:
            numbers = ", ".join(str(number + 1) for number in missing.values())
            why = f"nothing came of part {numbers} of {part.parts} for {wait_s:.0f} s: its worker is gone, or its disk hangs"
        if why is not None:
            raise CheckpointError(f"the checkpoint of step {part.step} was given up: {why}", where=store.place(folder))
        time.sleep(pause)
        pause = min(_LATER_LOOKS_S, pause * 1.5)
    return found


def _write_manifest(store: Store, folder: str, part: Part, files: Files) -> None:
    content: dict[str, Any] = {"format": FORMAT, "step": part.step, "name": part.name, "created": time.time()}
    content |= {"generation": part.generation, "parts": part.parts, **part.facts, "files": dict(sorted(files.items()))}
    content = json.loads(json.dumps(content))  # the hash is of what will be read
    content["manifest_sha256"] = digest(content)
    fault_point("checkpoint_manifest")
    store.write(folder, MANIFEST, [json.dumps(content, indent=2).encode()])
    fault_point("checkpoint_whole")


def _new_folder(store: Store, name: str) -> str:
    for again in itertools.count(1):
        folder = name if again == 1 else f"{name}.{again}"
        try:
            store.make(folder, new=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")


def _refuse_whole(store: Store, folder: str) -> None:
    """Nothing is written into a checkpoint that is whole."""
    try:
        next(store.pieces(folder, MANIFEST), None)
    except FileNotFoundError:
        return
    raise CheckpointError("there is a checkpoint of this step and generation already", where=store.place(folder))


def _failure(error: Exception, part: Part, where: Location) -> CheckpointError:
    if isinstance(error, CheckpointError):
        return error
    what = f"the checkpoint of step {part.step} cannot be written"
    if isinstance(error, DataError):
        return CheckpointError(f"{what}: {error.what}", where=error.where, note=error.note, help=error.help)
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CheckpointError(f"{what}: {why}", where=str(where), help=_MEND)


def _quietly(action: Callable[[], object]) -> None:
    with contextlib.suppress(OSError, DataError):
        action()


def _note(number: int, parts: int) -> str:
    return f"part-{number + 1}-of-{parts}.json"


def _described(raw: bytes) -> dict[str, Any]:
    return {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
