"""What a checkpoint of 400 MB adds to a step beside a plain copy of the same bytes; what a plain broadcast of them takes.

python -m faulty.copies checkpoint FILE | python -m faulty.copies broadcast FILE
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from faulty.model import build

ROUNDS = 7
DEADLINE_S = 60.0


def state() -> dict[str, dict[str, torch.Tensor]]:
    """Weights and AdamW's two moments, as files of a checkpoint: 400 MB where BENCH_SIZE is heavy."""
    model = build()
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moments = {
        f"{name}.{kind}": optimizer.state[parameter][kind]
        for name, parameter in model.named_parameters()
        for kind in ("exp_avg", "exp_avg_sq")
    }
    return {"model": dict(model.state_dict()), "optimizer": moments}


def checkpoint() -> dict[str, Any]:
    """The seconds for which training waits in ``CheckpointWriter.save`` (one worker, all of the state), beside a copy into
    memory that is there already, in turn."""
    from gdist.run.checkpoint_writer import CheckpointWriter

    torch.set_num_threads(1)
    files = state()
    tensors = [tensor for named in files.values() for tensor in named.values()]
    places = [torch.empty_like(tensor) for tensor in tensors]
    copy_into(places, tensors)  # touches the memory
    saves, copies = [], []
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as folder:
        writer = CheckpointWriter(Path(folder), keep=1)
        writer.prepare(files, number=0, workers=1)
        time.sleep(1.0)  # steps pass between the preparation and the first checkpoint
        for turn in range(ROUNDS):
            copies.append(_seconds(lambda: copy_into(places, tensors)))
            saves.append(_seconds(lambda step=turn: writer.save(step, files=files, state={})))  # type: ignore[misc]
            writer.flush(DEADLINE_S)
        writer.close()
        failed = [str(report.error) for report in writer.reports() if report.error is not None]
    return {
        "bytes": sum(tensor.nbytes for tensor in tensors),
        "added_seconds": statistics.median(saves),
        "copy_seconds": statistics.median(copies),
        "ratio": statistics.median(save / copy for save, copy in zip(saves, copies, strict=True)),
        "rounds": [{"added_seconds": save, "copy_seconds": copy} for save, copy in zip(saves, copies, strict=True)],
        "failures": failed,
    }


def copy_into(places: list[torch.Tensor], tensors: list[torch.Tensor]) -> None:
    for place, tensor in zip(places, tensors, strict=True):
        place.copy_(tensor)


def broadcast() -> dict[str, Any]:
    """Seconds of one broadcast of 400 MB between two processes by the sockets that gdist's workers use on one host."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    peer = context.Process(target=_peer, args=(theirs,), daemon=True)
    peer.start()
    try:
        return {"rounds": _broadcasts(ours, rank=0)}
    finally:
        peer.join(DEADLINE_S)
        peer.kill()


def _peer(pipe: Any) -> None:
    _broadcasts(pipe, rank=1)


def _broadcasts(pipe: Any, *, rank: int) -> list[float]:
    from gdist.records import Membership
    from gdist.worker.connect import connect
    from gdist.worker.door import Door

    torch.set_num_threads(1)
    elements = sum(tensor.numel() for named in state().values() for tensor in named.values())
    whole, door = torch.ones(elements), Door()
    pipe.send(door.address)
    doors = (door.address, pipe.recv()) if rank == 0 else (pipe.recv(), door.address)
    membership = Membership(generation=1, rank=rank, size=2, doors=doors, secret="of the benchmark")
    collective = connect(door, membership, device="cpu", deadline_s=DEADLINE_S)
    seconds = []
    for _ in range(ROUNDS):
        collective.all_reduce(torch.zeros(1)).wait()
        seconds.append(_seconds(lambda: collective.broadcast(whole, source=0).wait()))
        collective.all_reduce(torch.zeros(1)).wait()
    collective.close()
    return seconds


def _seconds(act: Any) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps({"checkpoint": checkpoint, "broadcast": broadcast}[sys.argv[1]]()))
