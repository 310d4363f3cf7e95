"""Whether a run that went through faults is the quiet run: read from what its workers wrote, and from nothing else.

``steps_lost``     step numbers up to the last without a line in metrics.jsonl
``steps_redone``   steps that a worker had applied and that were taken again: the same process noted one twice, or a line comes
                   again although no generation in between had lost all its members (that one goes back to a checkpoint)
``samples_lost``, ``samples_doubled``   by ``gdist audit``, from ledger.jsonl and the data
``weights_sha256`` of model.safetensors
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gdist.run.folder import RunFolder
from gdist.run.lines import read_lines
from gdist.run.tensors import read_tensors, weights_sha256
from gdist.worker.audit import audit_run

HAPPENED = ("worker_lost", "hung", "leaving", "scale", "controller", "worker_hired", "generation", "checkpoint")


def check(run: Path, quiet: Path, *, records: Path | None = None) -> dict[str, Any]:
    """``quiet``: a run of the same job on one worker that nobody disturbed; ``records``: what each process has noted."""
    audited = audit_run(RunFolder(run))
    sha, quiet_sha = weights_of(run), weights_of(quiet)
    steps, quiet_steps = _steps(run), _steps(quiet)
    return {
        "steps": steps,
        "steps_lost": len(set(range(1, steps + 1)) - {line["step"] for line in _lines(run)}),
        "steps_redone": len(lines_again(run) | (records_again(records) if records is not None else set())),
        "samples_lost": audited.lost,
        "samples_doubled": audited.doubled,
        "weights_equal": sha == quiet_sha and steps == quiet_steps,
        "weights_sha256": sha,
        "quiet_sha256": quiet_sha,
        "happened": happened(run),
    }


def is_good(found: dict[str, Any]) -> bool:
    none = ("steps_lost", "steps_redone", "samples_lost", "samples_doubled")
    return bool(found["weights_equal"]) and not any(found[name] for name in none)


def weights_of(run: Path) -> str:
    """Computed from the file, whatever result.json says."""
    return weights_sha256(read_tensors(run / "model.safetensors")[0])


def happened(run: Path) -> dict[str, int]:
    """How often the run says that something befell it: proof that the faults came to pass."""
    events = list(_events(run))
    counts = Counter(event["event"] for event in events)
    restored = sum(not survivors for _, _, survivors in generations(run)[1:])
    return {name: counts[name] for name in HAPPENED if counts[name]} | {"restored": restored}


def lines_again(run: Path) -> set[int]:
    """Steps with a second line where nothing explains it."""
    from_checkpoint = [(number, step) for number, step, survivors in generations(run) if not survivors]
    seen: dict[int, int] = {}
    again: set[int] = set()
    for line in _lines(run):
        step, number = line["step"], line.get("generation", 0)
        before = seen.get(step)
        if before is not None and not any(before < g <= number and at < step for g, at in from_checkpoint):
            again.add(step)
        seen[step] = number
    return again


def records_again(records: Path) -> set[int]:
    """Steps that one and the same process has applied twice."""
    again: set[int] = set()
    for path in records.iterdir():
        steps = [int(line.split()[0]) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        again |= {step for step, times in Counter(steps).items() if times > 1}
        again |= {after for before, after in itertools.pairwise(steps) if after <= before}
    return again


def generations(run: Path) -> list[tuple[int, int, set[int]]]:
    """(number, last step before it, members that were in the one before as well) of each generation."""
    found = []
    for event in _events(run):
        if event["event"] == "generation":
            survivors = set(event.get("members") or ()) - set(event.get("joined") or ())
            found.append((int(event["generation"]), int(event.get("step") or 0), survivors))
    return found


def _steps(run: Path) -> int:
    return int(json.loads((run / "result.json").read_text())["steps"])


def _lines(run: Path) -> Iterator[dict[str, Any]]:
    """Step lines as they were written."""
    return (line for line in read_lines(run / "metrics.jsonl") if line.get("kind") == "step")


def _events(run: Path) -> Iterator[dict[str, Any]]:
    return read_lines(run / "events.jsonl")
