"""A process among those of torchrun that form one generation after another; run by ``test_forming.py``:

torchrun --nproc-per-node 2 -m tests.worker.generations COUNT sockets|gloo FOLDER
"""

from __future__ import annotations

import gc
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import psutil
import torch

from gdist.worker.connect import connect
from gdist.worker.door import Door
from gdist.worker.torchrun import first_membership, own_host

WARM = 100  # generations after which nothing may grow


def main(count: int, carrier: str, folder: Path) -> None:
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    door = Door(own_host())
    membership = replace(first_membership(door.address, rank=rank, size=size), one_host=carrier == "sockets")
    me, seen, seconds = psutil.Process(), [], []
    for generation in range(1, count + 1):
        begun = perf_counter()
        collective = connect(door, replace(membership, generation=generation), device="cpu")
        seconds.append(perf_counter() - begun)
        ones = torch.ones(1000)
        collective.all_reduce(ones).wait()
        assert ones.tolist() == [size] * 1000
        collective.close()
        if generation in (WARM, count):
            gc.collect()
            seen.append({"descriptors": me.num_fds(), "threads": me.num_threads(), "kib": me.memory_info().rss >> 10})
    (folder / f"{rank}.json").write_text(json.dumps({"seen": seen, "median_ms": sorted(seconds)[count // 2] * 1e3}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
