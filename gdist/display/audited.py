"""What ``gdist audit`` has found, as lines: a table by epoch, the samples at fault, and the verdict last (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from gdist.display import words

_COLUMNS = {  # key of an epoch -> its title
    "samples": "samples",
    "used": "used",
    "unapplied": "no update",
    "bad": "bad rows",
    "rolled_back": "rolled back",
    "lost": "lost",
    "doubled": "doubled",
}
_FAULTS = 12  # shown; --json has more


def report(found: dict[str, Any]) -> list[str]:
    """``found``: of ``Audit.to_dict`` and ``run``, its name."""
    rows = [("epoch", *_COLUMNS.values()), *_rows(found["epochs"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    table = ["  " + "   ".join(row) for row in cells]
    faults = [(epoch["epoch"], fault) for epoch in found["epochs"] for fault in epoch["faults"]]
    lines = [_fault(number, fault) for number, fault in faults[:_FAULTS]]
    if len(faults) > _FAULTS:
        lines.append(f"... and {len(faults) - _FAULTS} more: --json names them")
    return [*table, "", *lines, *([""] if lines else []), verdict(found)]


def verdict(found: dict[str, Any]) -> str:
    """One sentence."""
    whole = [epoch for epoch in found["epochs"] if epoch["finished"]]
    rest = [epoch for epoch in found["epochs"] if not epoch["finished"]]
    so_far = f"epoch {rest[0]['epoch']}, {rest[0]['samples']:,} of {found['samples']:,} samples so far" if rest else ""
    if not found["proved"]:
        of = words.plural(sum(bool(e["lost"] or e["doubled"]) for e in found["epochs"]), "epoch")
        return f"{found['run']} FAILED: {found['lost']:,} lost and {found['doubled']:,} doubled, in {of}"
    if not found["epochs"]:
        return f"{found['run']} has taken no step: nothing is proved"
    epochs = f"in each of {len(whole)} epochs" if len(whole) > 1 else "in the one epoch" if whole else "so far"
    excused = {key: sum(epoch[key] for epoch in found["epochs"]) for key in ("bad", "unapplied")}
    but = f"; {excused['bad']:,} were bad and left out, as the job asks" if excused["bad"] else ""
    but += f"; {excused['unapplied']:,} in steps that changed nothing" if excused["unapplied"] else ""
    once = f"{found['run']} is proved: every sample was used exactly once {epochs}{but}"
    return once + (f" ({so_far})" if so_far else "")


def _rows(epochs: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """A row for each run of epochs with the same numbers."""
    cells = [tuple(f"{epoch[key]:,}" for key in _COLUMNS) for epoch in epochs]
    starts = [k for k in range(len(epochs)) if k == 0 or cells[k] != cells[k - 1] or not epochs[k]["finished"]]
    for first, stop in pairwise([*starts, len(epochs)]):
        number = f"{epochs[first]['epoch']}" + (f" to {epochs[stop - 1]['epoch']}" if stop - first > 1 else "")
        yield (number if epochs[first]["finished"] else f"{number}, unfinished", *cells[first])


def _fault(epoch: int, fault: dict[str, Any]) -> str:
    first, last = fault["start"], fault["stop"] - 1
    one = f"position {first}" if first == last else f"positions {first} to {last}"
    who = f" ({fault['place']})" if fault["place"] else ""
    count = "" if fault["count"] == 1 else f"{fault['count']:,} "
    return f"{count}{fault['kind']}: epoch {epoch}, step {fault['step']}, {one}{who}: {fault['why']}"
