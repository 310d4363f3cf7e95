"""A process that kills itself (SIGKILL) at its n-th touch of a checkpoints folder, for every n in turn, and looks what is left.

Prints a JSON list: per n the operation it died at, the newest good step, and whether what was found loads. torch is imported
once; each writer is a fork.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import torch

from gdist.run.checkpoint import newest_checkpoint, read_checkpoint, remove_leftovers
from gdist.run.checkpoint_write import write_checkpoint
from gdist.run.checkpoint_writer import CheckpointWriter

TOUCHES = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")


def tensors(step: int) -> dict[str, dict[str, torch.Tensor]]:
    return {"model": {"weight": torch.full((64,), float(step))}, "optimizer": {"moment": torch.full((64,), -float(step))}}


def die_at(n: int, folder: Path, told: int) -> None:
    seen = 0

    def touched(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if name not in TOUCHES or str(folder) not in str(arguments[0]):
            return
        seen += 1
        if seen == n:
            os.write(told, f"{name} {Path(str(arguments[0])).name}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(touched)


def main(root: Path) -> None:
    found = []
    for n in range(1, 200):
        folder = root / "checkpoints"
        shutil.rmtree(folder, ignore_errors=True)
        write_checkpoint(folder, 1, files=tensors(1), state={"step": 1})  # acknowledged: may be outlived, never lost before
        hear, told = os.pipe()
        child = os.fork()
        if not child:
            die_at(n, folder, told)
            writer = CheckpointWriter(folder, keep=1)
            writer.save(2, files=tensors(2), state={"step": 2}, wait=True)
            writer.close()
            os._exit(0)
        os.close(told)
        died_at = os.read(hear, 1000).decode()
        os.close(hear)
        _, status = os.waitpid(child, 0)
        newest = newest_checkpoint(folder)
        good = read_checkpoint(newest) if newest else None
        whole = good is not None and all(
            torch.equal(tensor, tensors(good.step)[file][name])
            for file, names in good.files.items()
            for name, tensor in names.items()
        )
        remove_leftovers(folder)  # the next writer clears what was left
        left = sorted(path.name for path in folder.iterdir())
        found.append(
            {
                "n": n,
                "killed": os.WIFSIGNALED(status),
                "at": died_at,
                "step": good.step if good else None,
                "whole": whole,
                "left": left,
            }
        )
        if not os.WIFSIGNALED(status):
            break
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
