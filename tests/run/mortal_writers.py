"""Processes that write a checkpoint together, one of which is killed: at a named fault point, or by strace at its n-th system
call of a kind, each in turn; or that call fails. Prints what was left, as JSON. torch is imported once, writers are forks.

python mortal_writers.py points|calls|errors FOLDER
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gdist import fault_points
from gdist.errors import CheckpointError
from gdist.run.checkpoint import newest_checkpoint, read_checkpoint
from gdist.run.checkpoint_write import write_checkpoint
from gdist.run.checkpoint_writer import CheckpointWriter

POINTS = (
    "checkpoint_begin",
    "checkpoint_written",
    "checkpoint_synced",
    "checkpoint_part",
    "checkpoint_manifest",
    "checkpoint_whole",
    "checkpoint_older",
    "checkpoint_removed",
)
CALLS = ("openat", "write", "fsync", "rename", "mkdir", "unlink", "unlinkat", "rmdir")
PART_WAIT_S = 1.5


def tensors(step: int) -> dict[str, dict[str, torch.Tensor]]:
    """Large enough for two workers."""
    return {
        "model": {"weight": torch.full((700, 1000), float(step))},
        "optimizer": {"moment": torch.full((700, 1000), -float(step))},
    }


def write(folder: Path, step: int, *, number: int, workers: int, generation: int = 1) -> bool:
    """Whether this worker's part, or for the first the whole, is written."""
    writer = CheckpointWriter(folder, keep=1, part_wait_s=PART_WAIT_S)
    try:
        common = {"files": tensors(step), "state": {"step": step}}
        writer.save(step, **common, number=number, workers=workers, generation=generation, wait=True)  # type: ignore[arg-type]
    except CheckpointError:
        return False
    writer.close()
    return True


def look(folder: Path) -> dict[str, Any]:
    newest = newest_checkpoint(folder)
    good = read_checkpoint(newest) if newest else None
    same = good is not None and all(
        torch.equal(tensor, tensors(good.step)[file][name])
        for file, names in good.files.items()
        for name, tensor in names.items()
    )
    return {"step": good.step if good else None, "same": same, "left": sorted(path.name for path in folder.iterdir())}


def child(folder: Path, *, number: int, workers: int, fault: str, acknowledged: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.environ["GDIST_FAULT"] = fault
        importlib.reload(fault_points)
        if write(folder, 2, number=number, workers=workers) and number == 0:
            acknowledged.touch()
    finally:
        os._exit(0)


def fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    write_checkpoint(folder, 1, files=tensors(1), state={"step": 1})  # durable: may be outlived, never lost before


def points(root: Path) -> Iterator[dict[str, Any]]:
    for point in POINTS:
        for victim in (0, 1):
            folder, fired, acknowledged = root / "checkpoints", root / f"{point}-{victim}", root / f"done-{point}-{victim}"
            fresh(folder)
            faults = [f"{point}:kill:flag={fired}" if number == victim else "" for number in (0, 1)]
            pids = [
                child(folder, number=number, workers=2, fault=faults[number], acknowledged=acknowledged) for number in (0, 1)
            ]
            killed = [os.WIFSIGNALED(os.waitpid(pid, 0)[1]) for pid in pids]
            found = {"point": point, "victim": victim, "killed": killed[victim], "fired": fired.exists(), **look(folder)}
            found["acknowledged"] = acknowledged.exists()
            other = os.fork()  # both write in the next generation
            if not other:
                write(folder, 3, number=1, workers=2, generation=2)
                os._exit(0)
            found["next"] = write(folder, 3, number=0, workers=2, generation=2)
            os.waitpid(other, 0)
            found["after"] = look(folder)
            yield found


def traced(folder: Path, call: str, n: int, acknowledged: Path, *, what: str) -> bool:
    """``what`` happens at the writer's ``n``-th ``call``; whether it died of it."""
    heard, tell = os.pipe()
    pid = os.fork()
    if not pid:
        os.read(heard, 1)
        if write(folder, 2, number=0, workers=1):
            acknowledged.touch()
        os._exit(0)
    strace = ["strace", "-f", "-qq", "-o", os.devnull, "-p", str(pid), "-e", f"trace={call}"]
    tracer = subprocess.Popen([*strace, "-e", f"inject={call}:{what}:when={n}"], stderr=subprocess.DEVNULL)
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        assert tracer.poll() is None, "strace ended"
    os.write(tell, b"x")
    _, status = os.waitpid(pid, 0)
    tracer.wait(10)
    os.close(heard)
    os.close(tell)
    return os.WIFSIGNALED(status)


def calls(root: Path) -> Iterator[dict[str, Any]]:
    for call in CALLS:
        for n in range(1, 100):
            folder, acknowledged = root / "checkpoints", root / f"done-{call}-{n}"
            fresh(folder)
            killed = traced(folder, call, n, acknowledged, what="signal=KILL")
            yield {"call": call, "n": n, "killed": killed, "acknowledged": acknowledged.exists(), **look(folder)}
            if not killed:
                break


def errors(root: Path) -> Iterator[dict[str, Any]]:
    for call, error in (("write", "ENOSPC"), ("fsync", "EIO"), ("rename", "EROFS"), ("mkdir", "EACCES")):
        for n in range(1, 12):
            folder, acknowledged = root / "checkpoints", root / f"done-{call}-{n}"
            fresh(folder)
            killed = traced(folder, call, n, acknowledged, what=f"error={error}")
            yield {"call": call, "n": n, "killed": killed, "acknowledged": acknowledged.exists(), **look(folder)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = list({"points": points, "calls": calls, "errors": errors}[sys.argv[1]](Path(sys.argv[2])))
    sys.stdout.write(json.dumps(found))
