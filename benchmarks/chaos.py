"""One exact run under random faults of real processes, beside the quiet run of the same job on one worker.

    python benchmarks/chaos.py --faults 200 --seed 7 --json
    python benchmarks/chaos.py --faults 12 --keep /tmp/chaos      # the run's folder stays there

Faults: a worker is killed, stopped or told to leave (SIGTERM), workers are added and taken away, the controller is killed, two
workers die at once, or one dies while the generation without another forms; rank 0 is hit more often than others. The seed
gives kinds, times and victims. Steps must be seen in the run's folder before and after each fault within HEALTHY_S.

What the run has become is judged by chaotic/checker.py, which reads what the workers wrote and does not know the faults.
Exits 1 where a step or a sample was lost or doubled, the weights differ, or the run did not go on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import launch
from chaotic.checker import check, is_good
from chaotic.faults import FAULTS, SIZES, Run, schedule

from gdist.cluster.reach import reach
from gdist.cluster.reaper import birth
from gdist.errors import GdistError

JOB = str(launch.HERE / "chaotic/job.py")
PACE_S = 0.002
START_S = 90.0
HEALTHY_S = 60.0
STEPS = 5  # that are to be seen after a fault
END_S = 90.0
QUIET_S = 600.0
POLL_S = 0.02


class Sick(Exception):
    """A run that does not go on."""


def main(arguments: Sequence[str] | None = None) -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--faults", type=int, default=12)
    parse.add_argument("--seed", type=int, help="default: a random one, which is said")
    parse.add_argument(
        "--seconds", type=float, default=math.inf, help="no further fault after so long; ``faults`` says how many"
    )
    parse.add_argument("--only", help=f"kinds of faults: {','.join(FAULTS)}")
    parse.add_argument("--keep", help="a folder for the run; it stays")
    parse.add_argument("--json", action="store_true")
    given = parse.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended on the way out
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    if unknown := set(given.only.split(",") if given.only else ()) - set(FAULTS):
        parse.error(f"{', '.join(sorted(unknown))}: not among {', '.join(FAULTS)}")
    folder = Path(given.keep or tempfile.mkdtemp(prefix="gdist-chaos-")).absolute()
    try:
        only = given.only.split(",") if given.only else None
        found = measure(given.faults, seed, folder, only=only, limit_s=given.seconds)
    except (Sick, GdistError) as error:
        print(f"seed {seed}, {folder}: {error}\n{_end_of(folder / 'log')}", file=sys.stderr)
        sys.exit(1)
    if is_good(found) and given.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found, indent=1) if given.json else "\n".join(f"{name:18}{value}" for name, value in found.items()))
    sys.exit(0 if is_good(found) else 1)


def measure(count: int, seed: int, folder: Path, *, only: list[str] | None = None, limit_s: float = math.inf) -> dict[str, Any]:
    """The run under ``count`` faults, or as many as come within ``limit_s``, the quiet run, and what the checker finds."""
    (folder / "records").mkdir(parents=True)
    (folder / "quiet-records").mkdir()
    begun = time.monotonic()
    injected = _disturbed(count, seed, folder, only, limit_s)
    seconds = time.monotonic() - begun
    steps = int(json.loads((folder / "run/result.json").read_text())["steps"])
    _quiet(folder, steps)
    found = check(folder / "run", folder / "quiet", records=folder / "records")
    return {"faults": sum(injected.values()), "seed": seed, **found, "seconds": round(seconds, 1), "injected": injected}


def _disturbed(count: int, seed: int, folder: Path, only: list[str] | None, limit_s: float) -> dict[str, int]:
    """Returns how many faults of each kind there were."""
    chance, injected = random.Random(seed), dict.fromkeys(FAULTS, 0)
    command = [
        sys.executable,
        "-m",
        "gdist",
        "train",
        JOB,
        "--workers",
        str(SIZES[1]),
        "--plain",
        "--run-dir",
        str(folder / "run"),
    ]
    env = launch.environment() | {"BENCH_RECORDS": str(folder / "records"), "BENCH_PACE_S": str(PACE_S)}
    with (folder / "log").open("wb") as log:
        driver = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        _until(driver, lambda: last_step(folder / "run") > 0, START_S, "the first step")
        with reach(folder / "run") as controller:
            run, ends = Run(controller, driver.pid, chance), time.monotonic() + limit_s
            for number, (wait_s, name) in enumerate(schedule(count, chance)):
                if time.monotonic() > ends:
                    break
                name = chance.choice(only) if only else name
                _healthy(driver, run, folder, f"before fault {number + 1}, {name}")
                time.sleep(wait_s)
                begun, step = time.monotonic(), last_step(folder / "run")
                what = FAULTS[name](run)
                injected[name] += 1
                _healthy(driver, run, folder, f"after fault {number + 1}, {name} ({what}) at step {step}")
                seconds = time.monotonic() - begun
                print(f"{number + 1}/{count}  step {step}  {name}: {what}; {seconds:.2f} s", file=sys.stderr, flush=True)
        os.kill(driver.pid, signal.SIGINT)
        _until(None, lambda: driver.poll() is not None, END_S, "the run's end")
    finally:
        launch.end(driver)
    if not (folder / "run/model.safetensors").exists():
        raise Sick("the run ended without a model")
    return injected


def _healthy(driver: subprocess.Popen[bytes], run: Run, folder: Path, when: str) -> None:
    """Steps follow, whoever was hit is gone, and there is more than one worker where more than one is wanted."""
    before = last_step(folder / "run")
    stopped = [pid for pid in run.victims if birth(pid) is not None]
    _until(driver, lambda: all(birth(pid) is None for pid in stopped), HEALTHY_S, f"{when}: {stopped} to be gone")
    run.victims.clear()
    _until(driver, lambda: len(run.members()) >= SIZES[0], HEALTHY_S, f"{when}: {SIZES[0]} workers")
    _until(driver, lambda: last_step(folder / "run") >= before + STEPS, HEALTHY_S, f"{when}: steps past {before}")


def _until(driver: subprocess.Popen[bytes] | None, done: Callable[[], bool], limit_s: float, what: str) -> None:
    ends = time.monotonic() + limit_s
    while not done():
        if driver is not None and driver.poll() is not None:
            raise Sick(f"the run ended ({driver.returncode}) while waiting for {what}")
        if time.monotonic() > ends:
            raise Sick(f"waited {limit_s:g} s in vain for {what}")
        time.sleep(POLL_S)


def _quiet(folder: Path, steps: int) -> None:
    command = [sys.executable, "-m", "gdist", "train", JOB, f"steps={steps}", "--local", "--plain"]
    env = launch.environment() | {"BENCH_RECORDS": str(folder / "quiet-records")}
    with (folder / "log").open("ab") as log:
        command += ["--run-dir", str(folder / "quiet")]
        ran = subprocess.run(command, env=env, cwd=folder, stdout=log, stderr=log, timeout=QUIET_S)
    if ran.returncode:
        raise Sick("the quiet run failed")


def last_step(run: Path) -> int:
    """The highest among the newest lines of metrics.jsonl; 0: none. A run that goes back to a checkpoint counts from there."""
    try:
        with (run / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except ValueError:
            continue
    return 0


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:] if log.exists() else ""


if __name__ == "__main__":
    main()
