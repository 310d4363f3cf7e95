"""What a checkpoint costs: how long a step waits, beside one copy of the same bytes in memory; and how long writing takes.

    python benchmarks/checkpoint.py --json                      # 400 MB of state, 1 and 2 workers, about a minute

The state is that of a model with Adam: weights and two moments, in tensors of 4 MB. Each round copies all of it into memory
that was filled before, and then saves it as a worker does. ``ratio``: the median over rounds of the step's wait by that copy;
``cpu_ratio``: of the thread's processor time, which a busy machine changes less; ``first_ratio``: of the first save, whose
memory was made ready in a thread. Workers are processes; those of a pair save at once, each its share, into one folder, and
``write_seconds`` is until the manifest is durable.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

TENSOR = 1 << 20  # float32 numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="On the disk to be measured. Default: a temporary one.")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {str(workers): measure(workers, given.megabytes, given.rounds, given.folder) for workers in (1, 2)}
    if given.json:
        print(json.dumps({"checkpoint": {"megabytes": given.megabytes, "workers": found}}, indent=1))
        return
    for workers, of in found.items():
        print(
            f"{workers} workers: a step waits {1e3 * of['wait_seconds']:.0f} ms, {of['ratio']:.2f} times a copy, "
            f"{of['cpu_ratio']:.2f} in processor time "
            f"(the first: {of['first_ratio']:.2f}); written in {of['write_seconds']:.2f} s"
        )


def measure(workers: int, megabytes: int, rounds: int, place: Path | None) -> dict[str, Any]:
    """Medians over rounds, of the slowest worker of each."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        barrier, answers = context.Barrier(workers), context.SimpleQueue()
        common = (workers, megabytes, rounds, folder, barrier, answers)
        processes = [context.Process(target=worker, args=(number, *common)) for number in range(workers)]
        for process in processes:
            process.start()
        told = [answers.get() for _ in processes]
        for process in processes:
            process.join()
    slowest = [max((each[turn] for each in told), key=lambda one: one["wait"]) for turn in range(rounds)]
    return {
        "wait_seconds": statistics.median(one["wait"] for one in slowest),
        "copy_seconds": statistics.median(one["copy"] for one in slowest),
        "ratio": statistics.median(one["wait"] / one["copy"] for one in slowest),
        "cpu_ratio": statistics.median(one["cpu"] for one in slowest),
        "first_ratio": slowest[0]["wait"] / slowest[0]["copy"],
        "write_seconds": statistics.median(max(each[turn]["write"] for each in told) for turn in range(rounds)),
    }


def worker(number: int, workers: int, megabytes: int, rounds: int, folder: str, barrier: Any, answers: Any) -> None:
    from gdist.run.checkpoint_writer import CheckpointWriter

    torch.set_num_threads(1)
    many = megabytes * 1_000_000 // 3 // (4 * TENSOR)
    model = {f"layer{i}": torch.randn(1024, TENSOR // 1024) for i in range(many)}
    moments = {f"main/{name}/{key}": torch.randn_like(t) for name, t in model.items() for key in ("exp_avg", "exp_avg_sq")}
    files = {"model": model, "optimizer": moments}
    plain = [torch.zeros_like(tensor) for tensors in files.values() for tensor in tensors.values()]
    writer = CheckpointWriter(Path(folder), keep=1)
    writer.prepare(files, number=number, workers=workers)
    time.sleep(1.0)  # in a run, steps are taken meanwhile
    told = []
    for turn in range(rounds):
        barrier.wait()
        begun, used = time.perf_counter(), time.thread_time()
        for target, tensor in zip(plain, (t for tensors in files.values() for t in tensors.values()), strict=True):
            target.copy_(tensor)
        copied, copied_cpu = time.perf_counter() - begun, time.thread_time() - used
        barrier.wait()
        begun, used = time.perf_counter(), time.thread_time()
        writer.save(turn + 1, files=files, state={}, number=number, workers=workers)
        waited, waited_cpu = time.perf_counter() - begun, time.thread_time() - used
        writer.flush(120)
        told.append({"copy": copied, "wait": waited, "write": time.perf_counter() - begun, "cpu": waited_cpu / copied_cpu})
        if writer.last_error is not None:
            raise writer.last_error
    answers.put(told)
    writer.close()


if __name__ == "__main__":
    main()
