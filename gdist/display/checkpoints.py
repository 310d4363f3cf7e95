"""What ``gdist checkpoints`` has found, as lines: a table, the damage, and the verdict last (pure)."""

from __future__ import annotations

from typing import Any

from gdist.display import words

_METRICS = 3  # of validation, beside each


def report(found: dict[str, Any]) -> list[str]:
    """``found``: of ``run.listed.listed``."""
    entries = found["checkpoints"]
    if not entries:
        return [f"run {found['run']} has no checkpoint", f"  --> {found['where']}"]
    measured = _measured(entries)
    rows = [("step", "epoch", "age", "size", "parts", "name", *measured, "")]
    rows += [_row(entry, measured, newest=entry["folder"] == found["newest_good"]) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  " + "   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    damage = [
        f"damaged: step {entry['step']}: {each['what']}\n  --> {each['where']}" for entry in entries for each in entry["damage"]
    ]
    return [*table, "", *damage, verdict(found)]


def verdict(found: dict[str, Any]) -> str:
    """One sentence."""
    entries = found["checkpoints"]
    bad = sum(bool(entry["damage"]) for entry in entries)
    whose = "its" if len(entries) == 1 else "their"
    how = "every byte is as it was written" if found["verified"] else f"{whose} files were not read; --verify does"
    newest = next((entry["step"] for entry in entries if entry["folder"] == found["newest_good"]), None)
    goes_on = f"gdist resume {found['run']} goes on from step {newest}" if newest is not None else "none is good"
    many = words.plural(len(entries), "checkpoint")
    return f"{many}, {bad} damaged; {goes_on}" if bad else f"{many}; {how}; {goes_on}"


def _row(entry: dict[str, Any], measured: list[str], *, newest: bool) -> tuple[str, ...]:
    values = {"loss": entry["train"].get("loss"), **{f"validation.{k}": v for k, v in entry["validation"].items()}}
    mark = "damaged" if entry["damage"] else "newest good" if newest else ""
    epoch = f"{entry['epoch']:.4g}" if entry["epoch"] is not None else "-"
    return (
        f"{entry['step']:,}", epoch, words.duration(entry["age_seconds"]), words.size(entry["bytes"]), str(entry["parts"]),
        entry["name"] or "", *(words.number(values.get(name)) for name in measured), mark,
    )  # fmt: skip


def _measured(entries: list[dict[str, Any]]) -> list[str]:
    validation = dict.fromkeys(f"validation.{name}" for entry in entries for name in entry["validation"])
    return [*(["loss"] if any(entry["train"] for entry in entries) else []), *list(validation)[:_METRICS]]
