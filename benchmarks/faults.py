"""What a fault costs: gdist beside Ray Train and torchrun, the same model, data and optimizer, two workers on one machine.

    python benchmarks/faults.py --json                          # everything, 3 rounds, about 12 minutes on 2 cores
    python benchmarks/faults.py --only kill --rounds 5

    kill        SIGKILL of one of two workers at a random time. gap_seconds: the longest time without an applied step from the
                fault until two workers train again; steps_redone: steps taken again that a worker which lived had applied
    stop        the same with SIGSTOP; who does not train on within 60 s is written ">60"
    scale       gdist alone, 1 -> 2 and 2 -> 1: pause_seconds as its events say, for the small model and for 400 MB of weights
                and optimizer, beside one plain broadcast of as many bytes by the same sockets. The peers cannot: they restart,
                which costs what ``kill`` says
    checkpoint  400 MB: for how long a step waits, beside one copy of the state in memory

Ray Train and torchrun are set up as their guides say, with a checkpoint every 500 steps; so is gdist. Steps and times are what
the workers themselves wrote down as they applied each step (faulty/records.py). A round runs each contender once, with the same
random time and victim, in an order that moves on by one. Figures are medians over rounds; all rounds stand beside them.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import launch
from faulty import scenarios
from step import machine

CONTENDERS = ["gdist", "ray_train", "torchrun"]
PARTS = ["kill", "stop", "scale", "checkpoint"]
SIZES = ["tiny", "heavy"]


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended on the way out
    rounds: dict[str, list[dict[str, Any]]] = {part: [] for part in given.only}
    failures: list[str] = []
    for turn in range(given.rounds):
        for part in given.only:
            rounds[part].append(_round(part, given, turn=turn, failures=failures))
    found: dict[str, Any] = {part: SUMMARIES[part](of) for part, of in rounds.items()}
    found |= {"seed": given.seed, "rounds": rounds, "failures": failures, "machine": machine()}
    print(json.dumps(found, indent=1) if given.json else table(found))
    sys.exit(1 if failures else 0)


def table(found: dict[str, Any]) -> str:
    lines = []
    for part in ("kill", "stop"):
        for name, of in found.get(part, {}).items():
            lines.append(f"{part:11s}{name:11s}{_shown(of['gap_seconds'])} s without a step, {of['steps_redone']} steps redone")
    for size, ways in found.get("scale", {}).get("gdist", {}).get("sizes", {}).items():
        for way, of in ways.items():
            if isinstance(of, dict):
                lines.append(f"{'scale':11s}{size:6s}{way:5s}pause {_shown(of['pause_seconds'])} s")
        if "broadcast_seconds" in ways:
            lines.append(f"{'':11s}one broadcast {_shown(ways['broadcast_seconds'])} s, joining {ways['ratio']:.2f} times that")
    if "checkpoint" in found:
        of = found["checkpoint"]["gdist"]
        lines.append(f"checkpoint adds {of['added_seconds']:.3f} s, one copy {of['copy_seconds']:.3f} s: {of['ratio']:.2f}x")
    return "\n".join([*lines, *found["failures"]])


def _shown(seconds: float | str | None) -> str:
    return f"{seconds:.3f}" if isinstance(seconds, float) else str(seconds)


def _round(part: str, given: argparse.Namespace, *, turn: int, failures: list[str]) -> dict[str, Any]:
    names = given.contenders if part in ("kill", "stop") else SIZES if part == "scale" else ["gdist"]
    found: dict[str, Any] = {}
    for place in range(len(names)):
        name = names[(turn + place) % len(names)]
        try:
            found[name] = _measure(part, name, random.Random(f"{given.seed} {part} {turn}"))
        except launch.Failed as failed:
            failures.append(f"{part}, {name}, round {turn + 1}: {failed}")
        print(f"round {turn + 1}/{given.rounds}  {part}  {name}: {found.get(name, 'failed')}", file=sys.stderr, flush=True)
    return found


def _measure(part: str, name: str, chance: random.Random) -> dict[str, Any]:
    if part == "kill":
        return scenarios.kill(name, chance)
    if part == "stop":
        return scenarios.stop(name, chance)
    if part == "checkpoint":
        return _copies("checkpoint")
    found = scenarios.scale(name)
    if name == "heavy":
        found["broadcast_seconds"] = statistics.median(_copies("broadcast")["rounds"])
    return found


def _copies(what: str) -> dict[str, Any]:
    return launch.run(["-m", "faulty.copies", what, "{result}"], ranks=None, env={"BENCH_SIZE": "heavy"})


def _faults(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """By contender the medians; a gap past its bound makes the median that bound if it was so in most rounds."""
    found: dict[str, Any] = {}
    for name in CONTENDERS:
        of = [each[name] for each in rounds if name in each]
        gaps = [each["gap_seconds"] for each in of if isinstance(each["gap_seconds"], float)]
        if not of:
            continue
        over = [each["gap_seconds"] for each in of if isinstance(each["gap_seconds"], str)]
        redone = [each["steps_redone"] for each in of if each["steps_redone"] is not None]
        found[name] = {
            "gap_seconds": over[0] if len(over) > len(gaps) else statistics.median(gaps),
            "steps_redone": int(statistics.median(redone)) if redone else None,
        }
    return found


def _scale(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for size in SIZES:
        of = [each[size] for each in rounds if size in each]
        if not of:
            continue
        sizes[size] = {
            way: {key: statistics.median(each[way][key] for each in of) for key in ("pause_seconds", "gap_seconds")}
            for way in ("up", "down")
        }
        if size == "heavy":
            sizes[size]["broadcast_seconds"] = statistics.median(each["broadcast_seconds"] for each in of)
            sizes[size]["ratio"] = statistics.median(each["up"]["pause_seconds"] / each["broadcast_seconds"] for each in of)
    pause = max((sizes["tiny"][way]["pause_seconds"] for way in ("up", "down")), default=None) if "tiny" in sizes else None
    return {"gdist": {"pause_seconds": pause, "sizes": sizes}}


def _checkpoint(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    of = [each["gdist"] for each in rounds if "gdist" in each]
    return {"gdist": {key: statistics.median(each[key] for each in of) for key in ("added_seconds", "copy_seconds", "ratio")}}


SUMMARIES: dict[str, Callable[[list[dict[str, Any]]], dict[str, Any]]] = {
    "kill": _faults,
    "stop": _faults,
    "scale": _scale,
    "checkpoint": _checkpoint,
}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--only", type=launch.names(PARTS), default=PARTS, help=",".join(PARTS))
    parse.add_argument("--contenders", type=launch.names(CONTENDERS), default=CONTENDERS, help=",".join(CONTENDERS))
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--seed", type=int, default=0, help="of the times and victims")
    parse.add_argument("--json", action="store_true")
    return parse.parse_args(arguments)


if __name__ == "__main__":
    main()
