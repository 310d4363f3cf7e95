"""What stands at the end of a run: how it went, where it lies, how to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gdist.display import words
from gdist.display.changes import paused
from gdist.display.members import Members
from gdist.display.sentences import label
from gdist.display.standing import Standing
from gdist.errors import CheckpointError
from gdist.run.checkpoint import list_checkpoints
from gdist.run.folder import RunFolder

_NAMES = 17  # columns


def summary(result: dict[str, Any], standing: Standing) -> list[str]:
    """The lines, 80 columns wide where paths allow it. ``result``: of result.json; with no run_dir if the run never began."""
    lines = ["", _head(result, standing)]
    if result.get("reason") not in (None, "all steps taken", "interrupted"):
        lines.append(f"because: {result['reason']}")
    run_dir = result.get("run_dir")
    if run_dir is None:
        return lines
    run = RunFolder(Path(run_dir))
    facts = [(f"training {name}", words.number(value)) for name, value in (result.get("train") or {}).items()]
    facts += [
        (label(name), words.number(value) + _best(standing, name, value))
        for name, value in (result.get("validation") or {}).items()
    ]
    facts += [(f"test {name.replace('_', ' ')}", words.number(value)) for name, value in (result.get("test") or {}).items()]
    if result.get("wall_seconds"):
        workers = words.plural(int(result.get("workers") or standing.workers or 1), "worker")
        facts.append(("time", f"{words.duration(result['wall_seconds'])} with {workers}"))
    if standing.members.changes:
        facts.append(("worker changes", ", ".join(filter(None, (str(standing.members.changes), _pauses(standing.members))))))
    facts.append(("run folder", words.path(run_dir)))
    if result.get("status") != "done":
        saved = saved_step(run, standing)
        facts.append(("checkpoint", "none" if saved is None else f"step {saved}"))
    more = f" epochs={2 * max(1, round(result.get('epochs') or 1))}" if result.get("status") == "done" else ""
    facts.append(("to go on", how_to_resume(run, more=more)))
    return [*lines, "", *(f"  {name:<{_NAMES}}{value}" for name, value in facts)]


def saved_step(run: RunFolder, standing: Standing) -> int | None:
    """Of the newest checkpoint; as far as the run has told, where its store is away. None: there is none."""
    try:
        return max((place.step for place in list_checkpoints(run.checkpoints)), default=None)
    except CheckpointError:
        return standing.members.safe_step


def how_to_resume(run: RunFolder, *, more: str = "") -> str:
    """The command that goes on with ``run``; the Python, if its job was made there and only Python can make it again."""
    named = run.name if run.path.resolve().parent == Path("runs").resolve() else words.path(run.path)
    if run.source.is_dir():
        return f"gdist resume {named}{more}"
    return f'train(job, resume="{named}")  (the job was made in Python)'


def _head(result: dict[str, Any], standing: Standing) -> str:
    steps, status = int(result.get("steps") or 0), str(result.get("status"))
    epochs = f", {result['epochs']:.4g} epoch{'' if result['epochs'] == 1 else 's'}" if result.get("epochs") else ""
    of = f" of {standing.total_steps:,}" if status != "done" and standing.total_steps else ""
    taken = f"{steps:,}{of} step{'' if (standing.total_steps if of else steps) == 1 else 's'}{epochs}"
    how = "is done" if status == "done" else "was interrupted" if result.get("reason") == "interrupted" else "was stopped"
    return f"{standing.run or 'the run'} {how}: {taken}" if result.get("run_dir") else f"the run {how} before its first step"


def _pauses(members: Members) -> str:
    """``paused 0.21 s``; ``paused 0.37 s in all``; "" where nobody was left who could tell."""
    if not members.paused_s:
        return ""
    return paused(members.paused_s) + (" in all" if members.changes > 1 else "")


def _best(standing: Standing, name: str, now: float) -> str:
    best = standing.best.get(name)
    return f"   best {words.number(best[0])} in epoch {best[1]}" if best is not None and best[0] != now else ""
