"""Milliseconds per training step: gdist beside its peers, on the same three workloads, 2 workers with 1 thread each, on Gloo.

    python benchmarks/step.py                                        # everything, 5 rounds, about 40 minutes on 2 cores
    python benchmarks/step.py --workload mlp --contenders gdist,ddp --rounds 9 --json

A round runs each contender once, in fresh processes, one after the other, in an order that moves on by one each round.
``ms`` of a contender: the median over rounds of its wall-clock time per step. Machines drift, so ratios are taken round by
round, contender / gdist, and their median is quoted: 1.2 means that the contender's step takes 1.2 times as long as gdist's.
``best_guide`` and ``best_tuned`` are the peers with the smallest ms among those run as their guide says, and tuned.

The peers talk through Gloo, and so does ``gdist_gloo``; ``gdist`` as it comes uses sockets of its own where all workers are
on one host. ``limit`` is a loop written by hand for the same work, on Gloo, without any of a trainer's duties.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import launch

GUIDES = ["ddp", "accelerate", "lightning", "ray_train"]
TUNED = [f"{peer}_tuned" for peer in GUIDES]
CONTENDERS = [
    "gdist",
    "gdist_exact",
    "gdist_gloo",
    *(name for pair in zip(GUIDES, TUNED, strict=True) for name in pair),
    "limit",
]
WORKLOADS = ["mlp", "gpt", "wide"]

Round = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parse(arguments)
    rounds: dict[str, list[Round]] = {workload: [] for workload in given.workload}
    failures: list[str] = []
    for turn in range(given.rounds):
        for workload in given.workload:
            rounds[workload].append(_round(workload, given, turn=turn, failures=failures))
    found = summarize(rounds) | {"rounds": rounds, "failures": failures, "machine": machine()}
    print(json.dumps(found, indent=1) if given.json else table(found))
    sys.exit(1 if failures else 0)


def measure(contender: str, workload: str, *, warm_up: int | None, steps: int | None) -> float:
    """ms per step of one run of one contender."""
    if contender.startswith("gdist"):
        overrides = ["exact=true"] if contender == "gdist_exact" else []
        command = ["-m", "gdist.worker", str(launch.HERE / "job.py"), *overrides, "--run-dir", "{result}.run"]
    else:
        command = [str(launch.HERE / "contender.py"), contender, workload, "--result", "{result}"]
    wanted = {"BENCH_WORKLOAD": workload, "BENCH_WARM_UP": str(warm_up or ""), "BENCH_STEPS": str(steps or "")}
    if contender == "gdist_gloo":
        wanted["LOCAL_WORLD_SIZE"] = "1"  # as if the workers were on two hosts: they do not use their own sockets
    return launch.run(command, ranks=None if contender.startswith("ray_train") else 2, env=wanted)["ms"]


def summarize(rounds: dict[str, list[Round]]) -> dict[str, Any]:
    """Per workload the median ms of each contender; under ``best`` the fastest round (what a busy machine disturbed least);
    under ``ratios`` the medians of each round's contender / gdist."""
    summary: dict[str, Any] = {workload: _over(of, statistics.median) for workload, of in rounds.items()}
    summary["best"] = {workload: _over(of, min) for workload, of in rounds.items()}
    summary["ratios"] = {workload: _ratios(of, summary[workload]) for workload, of in rounds.items()}
    return summary


def machine() -> dict[str, Any]:
    import torch

    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def table(found: dict[str, Any]) -> str:
    lines = []
    for workload, of in found["rounds"].items():
        lines.append(
            f"{workload}: ms per step, median and best of {len(of)} rounds; times gdist (median of the rounds' ratios)"
        )
        ratios, best = found["ratios"][workload], found["best"][workload]
        for contender, ms in sorted(found[workload].items(), key=lambda item: item[1]):
            times = f"{ratios[contender]:8.2f}x" if contender in ratios else ""
            lines.append(f"  {contender:18s}{ms:10.3f}{best[contender]:10.3f}{times}")
        lines += [
            f"  {name}: {ratios[name]['name']} {ratios[name]['ratio']:.2f}x"
            for name in ("best_guide", "best_tuned")
            if name in ratios
        ]
        lines.append("")
    return "\n".join([*lines, *found["failures"]])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--workload", type=launch.names(WORKLOADS), default=WORKLOADS, help=",".join(WORKLOADS))
    parse.add_argument("--contenders", type=launch.names(CONTENDERS), default=CONTENDERS, help=",".join(CONTENDERS))
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--steps", type=int, help="timed steps of a run (default: by workload)")
    parse.add_argument("--warm-up", type=int, help="steps before them (default: by workload)")
    parse.add_argument("--json", action="store_true")
    return parse.parse_args(arguments)


def _round(workload: str, given: argparse.Namespace, *, turn: int, failures: list[str]) -> Round:
    times: Round = {}
    for place in range(len(given.contenders)):
        contender = given.contenders[(turn + place) % len(given.contenders)]
        try:
            times[contender] = measure(contender, workload, warm_up=given.warm_up, steps=given.steps)
        except launch.Failed as failed:
            failures.append(f"{workload}, {contender}, round {turn + 1}: {failed}")
        shown = f"{times[contender]:.3f} ms" if contender in times else "failed"
        print(f"round {turn + 1}/{given.rounds}  {workload}  {contender}: {shown}", file=sys.stderr, flush=True)
    return times


def _over(rounds: list[Round], choose: Callable[[Iterable[float]], float]) -> Round:
    names = sorted({name for times in rounds for name in times}, key=CONTENDERS.index)
    return {name: choose(times[name] for times in rounds if name in times) for name in names}


def _ratios(rounds: list[Round], medians: Round) -> dict[str, Any]:
    ratios: dict[str, Any] = {}
    for name in medians:
        both = [times[name] / times["gdist"] for times in rounds if name in times and "gdist" in times]
        if both and name != "gdist":
            ratios[name] = statistics.median(both)
    for title, peers in (("best_guide", GUIDES), ("best_tuned", TUNED)):
        ran = [name for name in peers if name in ratios]
        if ran:
            best = min(ran, key=medians.__getitem__)
            ratios[title] = {"name": best, "ratio": ratios[best]}
    return ratios


if __name__ == "__main__":
    main()
