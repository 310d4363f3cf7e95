"""What a table larger than its memory costs beside time: bytes read by all workers, peak memory, the first batch of a resume.

    python benchmarks/streaming.py                    # all three, about three minutes
    python benchmarks/streaming.py --only resume --json

``amplification``: bytes of rows that N workers read in an epoch, together, over those of the data (256 row groups, a quarter
of them in memory). ``memory``: the peak of a worker that trains on 20 times its memory, beyond one that trains on next to
nothing. ``resume``: seconds to the first batch at 90 % of an epoch of 100 million rows, over those at 0 %, each in fresh
processes, the median over rounds. Workers are processes of their own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PARTS = ("amplification", "memory", "resume")
COLUMNS, BUDGET = 64, 64 << 20
LIMIT_S = 600.0

READ = """
import sys
from gdist.data import Feed, Parquet
from gdist.engine.plan import Plan
path, rank, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rows = Parquet(path=path, memory="16MiB").open()
plan = Plan(len(rows), batch_size=256, micro_batches=24)
feed = Feed(rows, batch_size=256)
cuts = map(plan.cut, range(plan.steps_per_epoch))
spans = [(0, p.start, p.stop) for cut in cuts for p in plan.passes(cut, rank=rank, size=size)]
feed.follow(iter(spans))
taken = sum(feed.take(*span).rows for span in spans)
feed.close()
print(rows.bytes_read, taken)
"""

TRAIN = """
import resource, sys
from torch import nn
import gdist
data = gdist.Parquet(path=sys.argv[1], target="f0", memory=int(sys.argv[2]))
job = gdist.Job(model=lambda: nn.Linear(int(sys.argv[3]), 1), loss="mse", data=data, batch_size=1024, epochs=1, micro_batches=8)
gdist.train(job, local=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

FIRST = """
import sys, time
from gdist.data import Feed, Parquet
rows = Parquet(path=sys.argv[1], memory="256MiB").open()
begun = time.perf_counter()
feed = Feed(rows, batch_size=256)
start = int(len(feed) * float(sys.argv[2])) // 256 * 256
feed.follow(iter([(0, start + i, start + i + 256) for i in range(0, 25600, 256)]))
assert feed.take(0, start, start + 256).rows == 256
print(time.perf_counter() - begun)
feed.close()
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--only", default=",".join(PARTS), help="some of the parts, by comma")
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--json", action="store_true")
    given = parse.parse_args(arguments)
    parts = given.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parse.error(f"{', '.join(sorted(unknown))}: not among {', '.join(PARTS)}")
    measure = {"amplification": amplification, "memory": memory, "resume": lambda folder: resume(folder, given.rounds)}
    with tempfile.TemporaryDirectory(prefix="gdist-streaming-") as folder:
        found = {part: measure[part](Path(folder)) for part in parts}
    if given.json:
        print(json.dumps(found))
        return
    for part, values in found.items():
        print(part)
        for name, value in values.items():
            print(f"  {name:<44}{value:.3f}" if isinstance(value, float) else f"  {name:<44}{value:,}")


def amplification(folder: Path) -> dict[str, Any]:
    path = folder / "groups.parquet"
    write(path, rows=256_000, columns=COLUMNS, group=1_000)
    groups = [pq.ParquetFile(path).metadata.row_group(g) for g in range(256)]
    stored = sum(group.column(c).total_compressed_size for group in groups for c in range(COLUMNS))
    found: dict[str, Any] = {"bytes of the data": stored}
    for size in (1, 2, 3, 4):
        answers = [run(READ, path, rank, size) for rank in range(size)]
        assert sum(int(answer[1]) for answer in answers) == 256_000
        found[f"bytes read by {size}, over the data's"] = sum(int(answer[0]) for answer in answers) / stored
    return found


def memory(folder: Path) -> dict[str, Any]:
    large, small = folder / "large.parquet", folder / "small.parquet"
    write(large, rows=20 * BUDGET // (4 * COLUMNS), columns=COLUMNS, group=8_192)
    write(small, rows=2_048, columns=COLUMNS, group=1_024)
    base, peak = (int(run(TRAIN, path, BUDGET, COLUMNS - 1)[-1]) for path in (small, large))
    return {
        "data over the memory bound": large_bytes(large) / BUDGET,
        "MiB of the memory bound": BUDGET >> 20,
        "MiB of a worker with little data": base >> 20,
        "MiB of a worker with 20 times the bound": peak >> 20,
        "their difference over the bound": (peak - base) / BUDGET,
    }


def resume(folder: Path, rounds: int) -> dict[str, Any]:
    path = folder / "long.parquet"
    write(path, rows=100_000_000, columns=1, group=65_536)
    times: dict[str, list[float]] = {"0": [], "0.9": []}
    for _ in range(rounds):
        for share, seen in times.items():
            seen.append(float(run(FIRST, path, share)[-1]))
    ratios = [late / early for early, late in zip(times["0"], times["0.9"], strict=True)]
    return {
        "seconds to the first batch at 0 %": statistics.median(times["0"]),
        "seconds to the first batch at 90 %": statistics.median(times["0.9"]),
        "median of the ratios": statistics.median(ratios),
    }


def write(path: Path, *, rows: int, columns: int, group: int) -> None:
    """Random float32 columns, a million rows in memory at a time."""
    rng = np.random.default_rng(0)
    schema = pa.schema([(f"f{i}", pa.float32()) for i in range(columns)])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        at_once = max(group, (1 << 20) // columns // group * group * 8)
        for first in range(0, rows, at_once):
            values = rng.random((columns, min(at_once, rows - first)), dtype=np.float32)
            writer.write_table(pa.table([pa.array(column) for column in values], schema=schema), row_group_size=group)


def large_bytes(path: Path) -> int:
    metadata = pq.ParquetFile(path).metadata
    return int(metadata.num_rows) * 4 * int(metadata.num_columns)


def run(script: str, *arguments: object) -> list[str]:
    """The words that a script prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.split()


if __name__ == "__main__":
    main()
