"""What workers report, as events of the state machine."""

from __future__ import annotations

from typing import Any

from gdist.cluster.orders import Standing
from gdist.errors import from_dict
from gdist.membership import events as ev


def event_of(slot: int, incarnation: int, kind: str, content: dict[str, Any]) -> ev.Event:
    """``kind``: started, hello, entered, left, broken, returned, failed, leaving or saved."""
    who = (slot, incarnation)
    error = from_dict(content["error"]) if content.get("error") else None
    if kind == "started":
        return ev.Placed(*who, node=content["node"])
    if kind == "hello":
        return ev.Ready(*who, hello=content)
    if kind == "leaving":
        return ev.Leaving(*who, reason=content["reason"])
    if kind == "saved":
        return ev.Saved(*who, step=content["step"], error=error, samples=tuple(content["samples"]))
    generation, step = content["generation"], content["step"]
    if kind == "entered":
        return ev.Entered(*who, generation, step)
    if kind == "left":
        return ev.Left(*who, generation, step)
    if kind == "broken":
        return ev.Broken(*who, generation, step)
    if kind == "returned":
        return ev.Returned(*who, generation, step, content["result"])
    assert kind == "failed", f"a worker reports what nobody knows: {kind}"
    assert error is not None, "a failure has its error"
    return ev.Failed(*who, generation, step, error)


def retaken(slot: int, incarnation: int, standing: Standing) -> ev.Retaken:
    """What a restarted controller hears from a worker's pull."""
    return ev.Retaken(
        slot, incarnation, standing.state, standing.generation, standing.step, standing.workers, standing.hello,
        standing.result, from_dict(standing.error) if standing.error else None,
    )  # fmt: skip
