"""What ``gdist check`` has found, as lines; and a job as resolved, as the words that would set it (pure)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from gdist.display import words

_NAMES = 18  # columns
_WIDTH = 80


def report(found: dict[str, Any], *, job_file: str) -> list[str]:
    """``found``: of ``check_job`` (sizes in bytes)."""
    lines = [f"{found['job']} is ready to train on {found['device']}", ""]
    for name, text in _facts(found):
        first, *rest = textwrap.wrap(text, _WIDTH - _NAMES - 2)
        lines += [f"  {name:<{_NAMES}}{first}", *(f"  {'':<{_NAMES}}{line}" for line in rest)]
    lines += ["", *(f"warning: {warning}" for warning in found["warnings"])]
    best = max((n for n in found["even_workers"] if n <= 4), default=1)
    return [*lines, f"train it: gdist train {job_file} --workers {best}"]


def plan(found: dict[str, Any]) -> list[str]:
    """Every field of the job as resolved, one ``a.b=c`` a line."""
    return [f"{path}={value}" for path, value in _flat(found["plan"])]


def _facts(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    frozen = found["parameters"] - found["trained"]
    model = words.plural(found["parameters"], "parameter") + (f", {words.count(frozen)} of them frozen" if frozen else "")
    yield "model", model + (f"; {words.plural(found['buffers'], 'number')} in buffers" if found["buffers"] else "")
    memory = found["memory"]
    sizes = ", ".join(f"{name} {words.size(memory[name])}" for name in ("weights", "gradients", "optimizer"))
    yield "memory", f"{words.size(memory['total'])} in each worker ({sizes}), and the activations"
    validation = f", {words.count(found['validation_samples'])} to validate" if found["validation_samples"] else ""
    test = f", {words.count(found['test_samples'])} to test" if found["test_samples"] else ""
    yield "data", words.plural(found["samples"], "sample") + validation + test
    total = f", {words.count(found['total_steps'])} in all" if found["total_steps"] else "; a stop rule ends the run"
    yield "steps", f"{words.count(found['steps_per_epoch'])} in an epoch{total}"
    cut = found["micro_batches"]
    parts = f"{cut} micro-batches" if cut > 1 else "one micro-batch"
    yield "batch", f"{words.plural(found['batch_size'], 'sample')}, cut into {parts} of {found['micro_batch_rows']:.3g}"
    yield "even at", f"{', '.join(map(str, found['even_workers']))} workers"
    if found["why_not_merged"]:
        yield "passes", f"one for each micro-batch: {found['why_not_merged']}"
    else:
        yield "passes", "a worker's micro-batches go through the model together"
    yield "first loss", words.number(found["first_loss"])


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield path, ",".join(map(str, value)) if isinstance(value, list) else value
        return
    for name, each in value.items():
        if name == "kind":  # ``optimizer=adamw``
            yield path, each
        elif path or name != "model_args":
            yield from _flat(each, f"{path}.{name}" if path else name)
        else:
            yield from _flat(each, "model") if each else ()
