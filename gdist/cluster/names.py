"""How a run's actors are called in Ray: everything of gdist lies in one namespace, each name says run, slot and incarnation."""

from __future__ import annotations

import secrets

NAMESPACE = "gdist"


def new_run_id(name: str) -> str:
    """A name for the run's processes and scratch folders, unique on the cluster; the run's own name comes with its job."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:40]
    return f"{kept or 'run'}-{secrets.token_hex(4)}"


def controller_name(run_id: str) -> str:
    return f"{run_id}/controller"


def worker_name(run_id: str, slot: int, incarnation: int) -> str:
    return f"{run_id}/worker-{slot}.{incarnation}"


def agent_name(run_id: str, node_id: str, count: int) -> str:
    """``count``: of the agents that the node has had."""
    return f"{run_id}/agent-{node_id[:12]}.{count}"
