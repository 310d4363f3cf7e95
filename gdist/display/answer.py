"""What stands at the end of an evaluation or a prediction: the values found, on which rows, and where they lie."""

from __future__ import annotations

from typing import Any

from gdist.display import words

_NAMES = 17  # columns


def answer(result: dict[str, Any]) -> list[str]:
    """The lines. ``result``: what the event ``finished`` says; without ``rows`` if it was stopped."""
    if result.get("rows") is None:
        how = "interrupted" if result.get("reason") == "interrupted" else f"stopped: {result.get('reason')}"
        return ["", f"{how}; nothing was written"]
    facts = [("loss" if name == "loss" else name.replace("_", " "), words.number(value)) for name, value in _metrics(result)]
    bad = f" ({words.plural(result['bad'], 'bad one')} {_left_out(result)})" if result.get("bad") else ""
    facts.append(("rows", f"{words.count(result['rows'])}{bad}, {_shown(result['data'])}"))
    facts.append(("weights", result["weights"]))
    if result.get("out"):
        facts.append(("columns", ", ".join(result["columns"])))
    facts.append(("time", f"{words.duration(result['wall_seconds'])} with {words.plural(int(result['workers']), 'worker')}"))
    head = f"{result['run']} wrote {words.path(result['out'])}" if result.get("out") else f"{result['run']} was evaluated"
    return ["", head, "", *(f"  {name:<{_NAMES}}{value}" for name, value in facts)]


def _metrics(result: dict[str, Any]) -> list[tuple[str, float]]:
    return list((result.get("metrics") or {}).items())


def _left_out(result: dict[str, Any]) -> str:
    return "without a prediction" if result.get("out") else "left out"


def _shown(data: str) -> str:
    return data if data.startswith(("the ", "all ")) else f"of {words.path(data) if '://' not in data else data}"
