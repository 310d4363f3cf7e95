"""What is said of live changes in words: who is lost, joins, leaves, hangs, what is waited for, and how long it paused (pure).

worker 1 on gpu-b lost at step 812: killed by SIGKILL
  | RuntimeError: CUDA error: an illegal memory access was encountered
worker 1 is being replaced
training goes on with 1 worker from step 813; paused 0.21 s (generation 3)
2 workers from step 1204: worker 1 joined; paused 0.08 s (generation 4)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from gdist.display import words
from gdist.display.members import Members

SHOWN = 3  # last lines of a lost worker, samples of a poisoned micro-batch
QUOTED = "  | "  # what such a line begins with
_WIDTH = 76  # of the rest of it


def change_sentences(event: dict[str, Any], members: Members) -> list[str]:
    """The lines for one event; ``members``: as they were before it."""
    name = event.get("event")
    if name == "generation":
        return _generation(event, members)
    if name == "worker_lost":
        step = f" at step {event['step']}" if event.get("step") else ""
        cause = str(event.get("cause") or "it died without a word").removeprefix(f"worker {event.get('worker')} ")
        lost = f"{_who(event)} lost{step}: {cause}"
        return [lost, *_beneath(event.get("last_lines") or ())]
    if name == "worker_hired":
        return _hired(event, members)
    if name == "worker_refused":
        named, reason = f"worker {event.get('worker')} ", str(event.get("reason"))
        if reason.startswith(named):
            return [f"{_who(event)} {reason.removeprefix(named)}; it is turned away"]
        return [f"{_who(event)} is turned away: {reason}"]
    if name == "leaving":
        return [f"{_who(event)} leaves at the next step: {event.get('reason')}"]
    if name == "hung":
        stuck = f": {words.duration(event['seconds'])}" if event.get("seconds") is not None else ""
        doing = f" in {event['phase']} at step {event.get('step')}" if event.get("phase") else ""
        allowed = f", {words.duration(event['allowed_seconds'])} allowed" if event.get("allowed_seconds") else ""
        return [f"{_who(event)} hangs{stuck}{doing}{allowed}; it is killed"]
    if name == "waiting":
        return [f"waiting for {event['what']}"] if event.get("what") != members.waiting else []
    if name == "scale":
        return [f"asked for {_wanted(event)}"]
    if name == "poisoned":
        return _poisoned(event)
    if name == "controller":
        return [f"a new controller leads the run; {slots(event.get('workers') or ())} trained on meanwhile"]
    if name == "checkpoint" and event.get("error"):
        return _unsaved(event)
    return []


def under_way(members: Members, *, now: float) -> list[str]:
    """What is not as it should be yet, a line each. ``now``: wall clock, s."""
    lines = [f"waiting for {members.waiting}"] if members.waiting else []
    if members.preparing and members.generation is not None:
        again = members.lost.intersection(members.preparing)
        for group, what in ((again, "replaced"), (members.preparing.keys() - again, "prepared")):
            if group:
                since = words.duration(max(0.0, now - min(members.preparing[slot] for slot in group)))
                lines.append(f"{slots(group)} {'is' if len(group) == 1 else 'are'} being {what}  {since}")
    if members.unsaved:
        since = f"since step {members.safe_step}" if members.safe_step else "yet"
        lines.append(f"no checkpoint {since}: {members.unsaved}")
    return lines


def slots(numbers: Iterable[int]) -> str:
    """``worker 1``, ``workers 1 and 2``, ``workers 0, 2 to 5 and 7``; ``nobody``."""
    ordered = sorted(set(numbers))
    if not ordered:
        return "nobody"
    runs = [[slot for _, slot in run] for _, run in itertools.groupby(enumerate(ordered), lambda each: each[1] - each[0])]
    parts = [part for run in runs for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"worker{'' if len(ordered) == 1 else 's'} {listed}"


def paused(seconds: float | None) -> str:
    """``paused 0.08 s``: to the hundredth where that says something."""
    if seconds is None:
        return ""
    return f"paused {max(seconds, 0.01):.2f} s" if seconds < 1 else f"paused {words.duration(seconds)}"


def _generation(event: dict[str, Any], members: Members) -> list[str]:
    joined, left = set(event.get("joined") or ()), set(event.get("left") or ())
    lost = left & members.lost
    if members.generation is None and event.get("reason") in (None, "start", "restored"):
        return []
    count = words.plural(event.get("workers") or 0, "worker")
    if members.slots and members.lost.issuperset(members.slots):
        return [f"nobody was left: {count} {_again(event, members)} (generation {event.get('generation')})"]
    who = [f"{slots(group)} {what}" for group, what in ((left - lost, "left"), (joined, "joined")) if group]
    why = "" if lost and not who else f": {', '.join(who) or event.get('reason')}"  # who is lost was a line of its own
    begin = "training goes on with " if lost else ""
    step = f" from step {event['step'] + 1}" if event.get("step") is not None else ""
    pause = f"; {paused(event['pause_seconds'])}" if event.get("pause_seconds") is not None else ""
    return [f"{begin}{count}{step}{why}{pause} (generation {event.get('generation')})"]


def _again(event: dict[str, Any], members: Members) -> str:
    """From where the run goes on once all who had its state are lost."""
    step = event.get("step") or 0
    repeated = max(0, members.lost_at - 1 - step)
    if not step:
        return "from the first step, for want of a checkpoint"
    cost = f", {words.plural(repeated, 'step')} back" if repeated else ""
    return f"from the checkpoint of step {step}{cost}"


def _hired(event: dict[str, Any], members: Members) -> list[str]:
    if members.generation is None:  # at the start all are
        return []
    one = slots([event["worker"]])
    later = f" in {words.duration(event['after_seconds'])}" if (event.get("after_seconds") or 0) >= 1 else ""
    what = "replaced" if event["worker"] in members.lost else "prepared"
    if not members.staying:
        return [f"{one} is being {what}{later}; training goes on when it is ready"]
    return [f"{one} is being {what}{later}" + ("; training goes on meanwhile" if what == "prepared" else "")]


def _poisoned(event: dict[str, Any]) -> list[str]:
    first, last = event["micro_batches"][0], event["micro_batches"][1] - 1
    which = f"micro-batch {first}" if first == last else f"micro-batches {first} to {last}"
    then = "left out from now on" if event.get("then") == "skip" else "the run ends"
    deaths = words.plural(event.get("deaths") or 2, "worker")
    return [f"{deaths} died in {which} of step {event.get('step')}: {then}", *_beneath(event.get("samples") or ())]


def _unsaved(event: dict[str, Any]) -> list[str]:
    again = f"; next try in {words.duration(event['again_seconds'])}" if event.get("again_seconds") is not None else ""
    what, _, more = str(event["error"]).partition("\n")
    what = what.removeprefix(f"the checkpoint of step {event.get('step')} cannot be written: ")
    where = more.partition("\n")[0].strip()
    place = f" ({words.path(where[4:])})" if where.startswith("--> ") else ""
    safe = event.get("safe_step")
    risk = f"all steps after {safe} would be lost with the workers" if safe else "no step is safe yet"
    return [
        f"the checkpoint of step {event.get('step')} failed, training goes on: {what}{place}",
        f"if it stays so, {risk}{again}",
    ]


def _wanted(event: dict[str, Any]) -> str:
    least, most = event.get("least"), event.get("most")
    return words.plural(most or 0, "worker") if least == most else f"{least} to {most} workers"


def _who(event: dict[str, Any]) -> str:
    host = str(event.get("host") or "")
    if not host.replace(".", "").isdigit():
        host = host.partition(".")[0]  # ip-10-0-3-117.eu-central-1.compute.internal
    return f"worker {event.get('worker')}" + (f" on {host}" if host else "")


def _beneath(lines: Iterable[str]) -> list[str]:
    kept = [line.rstrip() for line in lines if line.strip()][-SHOWN:]
    return [f"{QUOTED}{line if len(line) <= _WIDTH else line[: _WIDTH - 3] + '...'}" for line in kept]
