"""Seconds from the command to the end of the first step: gdist beside its peers, on the mlp of step.py, 2 workers.

    python benchmarks/start.py                      # everything, 5 rounds, about 10 minutes on 2 cores
    python benchmarks/start.py --rounds 3 --json

``gdist_cold`` starts its own Ray, ``gdist_warm`` meets a head that is up; ``ray_init`` is ray.init() alone, in a process of
its own, which gdist_cold cannot be faster than. Each peer is started as its guide says: torchrun, Lightning's own launcher,
Ray Train's driver. All are fresh processes in turn, in an order that moves on by one each round; medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import launch

CONTENDERS = ["gdist_cold", "gdist_warm", "gdist_torchrun", "ray_init", "torchrun_ddp", "lightning", "ray_train"]
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--rdzv-backend", "c10d"]
JOB, CONTENDER = str(launch.HERE / "job.py"), str(launch.HERE / "contender.py")
PEER = ["mlp", "--result", "{result}"]
GDIST = ["-m", "gdist", "train", JOB, "steps=3", "--workers", "2", "--plain", "--run-dir", "{result}.run"]
HEAD = ["start", "--head", "--block", "--port=0", "--num-cpus=2", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
HEAD_LIMIT_S = 60.0
HEAD_SETTLES_S = 4.0

RAY_INIT = """
import json, logging, sys, time
import ray
begun = time.time()
ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
json.dump({"first_step_at": time.time(), "begun": begun}, open(sys.argv[1], "w"))
"""

Round = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--contenders", default=",".join(CONTENDERS))
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--json", action="store_true")
    given = parse.parse_args(arguments)
    names = given.contenders.split(",")
    if unknown := set(names) - set(CONTENDERS):
        parse.error(f"{', '.join(sorted(unknown))}: not among {', '.join(CONTENDERS)}")
    failures: list[str] = []
    rounds = [_round(names, turn=turn, of=given.rounds, failures=failures) for turn in range(given.rounds)]
    found: dict[str, Any] = {
        "seconds": {
            name: statistics.median(r[name] for r in rounds if name in r) for name in names if any(name in r for r in rounds)
        }
    }
    over = [r["gdist_cold"] - r["ray_init"] for r in rounds if "gdist_cold" in r and "ray_init" in r]
    if over:
        found["gdist_cold_over_ray_init"] = statistics.median(over)
    found |= {"rounds": rounds, "failures": failures}
    print(json.dumps(found, indent=1) if given.json else table(found))
    sys.exit(1 if failures else 0)


def table(found: dict[str, Any]) -> str:
    lines = [f"seconds to the first step, median of {len(found['rounds'])} rounds"]
    lines += [f"  {name:16s}{seconds:8.2f}" for name, seconds in sorted(found["seconds"].items(), key=lambda item: item[1])]
    if "gdist_cold_over_ray_init" in found:
        lines.append(
            f"gdist_cold takes {found['gdist_cold_over_ray_init']:.2f} s more than ray.init alone (median of the rounds)"
        )
    return "\n".join([*lines, *found["failures"]])


def measure(name: str) -> float:
    """Seconds from the start of one run of ``name`` to the end of its first step."""
    if name == "ray_init":
        found = _run(["-c", RAY_INIT, "{result}"])
        return float(found["first_step_at"] - found["begun"])
    if name == "gdist_warm":
        with ray_head() as address:
            found = _run([*GDIST, "--address", address], read=_first_step)
    elif name == "gdist_cold":
        found = _run(GDIST, read=_first_step)
    elif name == "gdist_torchrun":
        found = _run([*TORCHRUN, "-m", "gdist.worker", JOB, "--run-dir", "{result}.run"], read=_first_step)
    elif name == "torchrun_ddp":
        found = _run([*TORCHRUN, CONTENDER, "ddp", *PEER])
    else:
        found = _run([CONTENDER, name, *PEER])
    return float(found["first_step_at"] - found["started_at"])


def _run(command: list[str], **how: Any) -> dict[str, Any]:
    few = {"BENCH_WORKLOAD": "mlp", "BENCH_WARM_UP": "1", "BENCH_STEPS": "2"}
    return launch.run(command, ranks=None, env=few, **how)


def _first_step(result: Path) -> dict[str, Any]:
    """When gdist's own events say that the first step was over."""
    with open(f"{result}.run/events.jsonl") as lines:
        for event in map(json.loads, lines):
            if event["event"] == "first_step":
                return {"first_step_at": event["time"]}
    raise ValueError("no first step")


@contextmanager
def ray_head() -> Iterator[str]:
    """The address of a Ray head that has been up for a few seconds; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-ray-", ignore_cleanup_errors=True) as folder:
        command = [str(Path(sys.executable).with_name("ray")), *HEAD, f"--temp-dir={folder}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        head = subprocess.Popen(command, env=launch.environment(), start_new_session=True, **quiet)
        try:
            written = Path(folder, "ray_current_cluster")
            deadline = time.monotonic() + HEAD_LIMIT_S
            while not written.exists():
                if time.monotonic() > deadline or head.poll() is not None:
                    raise launch.Failed("ray start --head did not come up")
                time.sleep(0.05)
            time.sleep(HEAD_SETTLES_S)
            yield written.read_text().strip()
        finally:
            launch.end(head)


def _round(names: list[str], *, turn: int, of: int, failures: list[str]) -> Round:
    times: Round = {}
    for place in range(len(names)):
        name = names[(turn + place) % len(names)]
        try:
            times[name] = measure(name)
        except launch.Failed as failed:
            failures.append(f"{name}, round {turn + 1}: {failed}")
        shown = f"{times[name]:.2f} s" if name in times else "failed"
        print(f"round {turn + 1}/{of}  {name}: {shown}", file=sys.stderr, flush=True)
    return times


if __name__ == "__main__":
    main()
