"""One round of each scenario: a contender trains, something happens to it, and its workers' own records say what it cost."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import launch

from faulty.model import CHECKPOINT_EVERY
from faulty.records import gap, redone
from faulty.subject import Subject, subject

START_S = 120.0
WARM_UP = {"tiny": CHECKPOINT_EVERY + 100, "heavy": 8}  # steps before anything happens: there is a checkpoint to go back to
SPREAD_S = 2.0  # a fault comes at a random time within so long, about the time between two checkpoints
RESUME_S = 120.0
SETTLE_S = {"tiny": 3.0, "heavy": 3.0}
STOPPED_S = 60.0


def kill(name: str, random_: random.Random) -> dict[str, Any]:
    """SIGKILL of one of two workers."""
    return _fault(name, random_, signal.SIGKILL, limit_s=RESUME_S)


def stop(name: str, random_: random.Random) -> dict[str, Any]:
    """SIGSTOP of one of two workers; given up after ``STOPPED_S``."""
    return _fault(name, random_, signal.SIGSTOP, limit_s=STOPPED_S)


def _fault(name: str, random_: random.Random, number: signal.Signals, *, limit_s: float) -> dict[str, Any]:
    wait_s, choice = random_.uniform(0, SPREAD_S), random_.randrange(2)
    with subject(name) as trains:
        _warm(trains, workers=2)
        time.sleep(wait_s)
        victim = trains.workers()[choice]
        at, before = time.monotonic(), trains.step()
        os.kill(victim, number)

        def again() -> bool:
            """Somebody has passed the step of the fault, and two workers train."""
            new = [each for each in trains.taken() if each.time > at + 0.05 and each.pid != victim]
            return len({each.pid for each in new[-200:]}) > 1 and new[-1].step > before + 50

        found = {"seed_wait_s": round(wait_s, 3), "victim": choice}
        if not trains.wait(again, what="it trained on with two workers", limit_s=limit_s):
            new = [each for each in trains.taken() if each.time > at + 0.05 and each.pid != victim]
            if not new or new[-1].step <= before + 2:
                return found | {"gap_seconds": f">{limit_s:g}", "steps_redone": None}
        taken = trains.taken()
        seconds, _, end = gap(taken, since=at)
        return found | {
            "gap_seconds": seconds,
            "steps_redone": redone(taken, since=at, victims=[victim]),
            "gap_ends_after_seconds": end - at,
        }


def scale(size: str) -> dict[str, Any]:
    """gdist from 1 to 2 workers and back; pauses as the run says, and the longest time between two steps of the records."""
    found: dict[str, Any] = {}
    with subject("gdist", workers=1, size=size) as trains:
        _warm(trains, workers=1, size=size)
        for wanted, way in ((2, "up"), (1, "down")):
            time.sleep(SETTLE_S[size])
            at = time.monotonic()
            command = [sys.executable, "-m", "gdist", "scale", str(trains.folder / "run"), str(wanted), "--json"]
            asked = subprocess.run(command, env=launch.environment(), capture_output=True, text=True, timeout=RESUME_S)
            if asked.returncode:
                raise trains.failed(f"was not scaled to {wanted}: {asked.stdout}{asked.stderr}")
            time.sleep(SETTLE_S[size])
            event = [each for each in _events(trains, "generation") if each["monotonic"] > at][-1]
            found[way] = {"pause_seconds": event.get("pause_seconds"), "gap_seconds": gap(trains.taken(), since=at)[0]}
        times = [each.time for each in trains.taken()]
        found["step_seconds"] = sorted(b - a for a, b in itertools.pairwise(times))[len(times) // 2]
    return found


def _warm(trains: Subject, *, workers: int, size: str = "tiny") -> None:
    steps = WARM_UP[size]

    def warm() -> bool:
        return trains.step() >= steps and len(trains.workers()) >= workers

    if not trains.wait(warm, what="it had warmed up", limit_s=START_S):
        raise trains.failed(f"did not take {steps} steps within {START_S:g} s")


def _events(trains: Subject, name: str) -> list[dict[str, Any]]:
    with (trains.folder / "run/events.jsonl").open() as lines:
        return [event for line in lines if (event := json.loads(line))["event"] == name]
