"""Rows per second out of files: gdist beside its peers and beside what the machine can do, one worker, in fresh processes.

    python benchmarks/data.py                                   # everything, 5 rounds, about 6 minutes on 2 cores
    python benchmarks/data.py --only shuffled,csv --json
    python benchmarks/data.py --only shuffled --contenders gdist,pyarrow_scan --rounds 9

    shuffled    400,000 rows x 64 float32 in zstd Parquet, memory for fewer rows than there are: shuffled batches of 256, the
                first epoch. pyarrow_scan: the fastest of three ways to read the file alone, unshuffled, by columns
    memory      the same rows once all lie in memory; index_select: one call of it a batch and nothing else
    text        tokens per second: shuffled windows of 256 of a corpus of bytes; copy: the same tensors from the file's order
    csv         16 columns as Arrow tables; gdist_first: blocks and types are not known yet
    statistics  mean and deviation of the 64 columns, beside the scan

A round runs each contender once, in an order that moves on by one each round. A figure is the best round's: what a busy
machine disturbed least. Machines drift, so ratios are taken round by round, gdist / contender, and their median is quoted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import launch
import samples
from step import machine

SCANS = {f"scan_{way}": f"limits.scan_{way}" for way in ("read_table", "iter_batches", "to_batches")}
SCAN = "pyarrow_scan"
PARTS = {
    "shuffled": {
        "gdist": "own.shuffled",
        **SCANS,
        "torch_dataloader": "peers.torch_dataloader",
        "hf_datasets": "peers.hf_datasets",
        "hf_iterable": "peers.hf_iterable",
        "ray_data": "peers.ray_data",
    },
    "memory": {"gdist": "own.memory", "index_select": "limits.index_select"},
    "text": {"gdist": "own.text", "copy": "limits.copy"},
    "csv": {"gdist": "own.csv", "gdist_first": "own.csv_first", "pyarrow_csv": "limits.read_csv"},
    "statistics": {"gdist": "own.statistics", **SCANS},
}
PACKAGES = {"hf_datasets": "datasets", "hf_iterable": "datasets", "ray_data": "ray"}
NEEDS = "pip install -e '.[bench]'"

Round = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parse(arguments)
    missing = [name for name, package in PACKAGES.items() if find_spec(package) is None]
    rounds: dict[str, list[Round]] = {part: [] for part in given.only}
    failures = [f"{name} is not measured: `{PACKAGES[name]}` is not installed ({NEEDS})" for name in missing]
    with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
        files = samples.make(Path(folder, "files"), rows=given.rows, memory=given.rows * given.memory)
        for turn in range(given.rounds):
            for part in given.only:
                names = [name for name in PARTS[part] if name not in missing and _among(name, given.contenders)]
                rounds[part].append(_round(part, names, files, turn=turn, of=given.rounds, failures=failures))
    found = summarize(rounds) | {"rounds": rounds, "failures": failures, "machine": machine()}
    print(json.dumps(found, indent=1) if given.json else table(found))
    sys.exit(1 if len(failures) > len(missing) else 0)


def measure(reader: str, files: samples.Samples) -> float:
    """Rows or tokens per second of one epoch in a fresh process. Raises launch.Failed."""
    command = [str(launch.HERE / "epoch.py"), reader, str(files.folder), str(files.rows), str(files.memory)]
    env = {
        "OMP_NUM_THREADS": str(os.cpu_count()),  # Arrow's threads too
        "GDIST_CACHE": str(files.folder / "cache"),
        "HF_HOME": str(files.folder / "hf"),
        "HF_HUB_OFFLINE": "1",
    }
    return float(launch.run([*command, "--result", "{result}"], ranks=None, env=env)["rate"])


def summarize(rounds: dict[str, list[Round]]) -> dict[str, Any]:
    """Per part each contender's best rate; under ``ratios`` the medians of each round's gdist / contender."""
    summary: dict[str, Any] = {part: {} for part in rounds}
    summary["ratios"] = {part: {} for part in rounds}
    for part, of in rounds.items():
        for name in dict.fromkeys(name for times in of for name in times):
            ran = [times for times in of if name in times]
            summary[part][name] = max(times[name] for times in ran)
            ratios = [times["gdist"] / times[name] for times in ran if "gdist" in times]
            if ratios and name != "gdist":
                summary["ratios"][part][name] = statistics.median(ratios)
    return summary


def table(found: dict[str, Any]) -> str:
    lines = []
    for part, of in found["rounds"].items():
        lines.append(f"{part}: best of {len(of)} rounds, per second; gdist / it (median of the rounds' ratios)")
        for name, rate in sorted(found[part].items(), key=lambda item: -item[1]):
            ratio = found["ratios"][part].get(name)
            lines.append(f"  {name:18s}{rate:14,.0f}" + ("" if ratio is None else f"{ratio:8.2f}x"))
        lines.append("")
    return "\n".join([*lines, *found["failures"]])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--only", type=launch.names(PARTS), default=list(PARTS), help=",".join(PARTS))
    known = [SCAN, *dict.fromkeys(name for part in PARTS.values() for name in part)]
    parse.add_argument("--contenders", type=launch.names(known), default=known, help=",".join(known))
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--rows", type=int, default=400_000)
    parse.add_argument("--memory", type=int, default=250, help="bytes for each row of the table; one takes 273")
    parse.add_argument("--json", action="store_true")
    return parse.parse_args(arguments)


def _among(name: str, wanted: list[str]) -> bool:
    return name in wanted or (name in SCANS and SCAN in wanted)


def _round(part: str, names: list[str], files: samples.Samples, *, turn: int, of: int, failures: list[str]) -> Round:
    rates: Round = {}
    for place in range(len(names)):
        name = names[(turn + place) % len(names)]
        try:
            rates[name] = measure(PARTS[part][name], files)
        except launch.Failed as failed:
            failures.append(f"{part}, {name}, round {turn + 1}: {failed}")
        shown = f"{rates[name]:,.0f}/s" if name in rates else "failed"
        print(f"round {turn + 1}/{of}  {part}  {name}: {shown}", file=sys.stderr, flush=True)
    scans = [rates[name] for name in SCANS if name in rates]
    return rates | ({SCAN: max(scans)} if scans else {})


if __name__ == "__main__":
    main()
