"""How many workers a run gets, how much of the machines each of them, and the wait until a shared cluster has it to give."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gdist.errors import DeadlineExceeded, UsageError

WAIT_S = 300.0
CORES_A_WORKER = 4.0  # of the default number of workers, and what each takes of a cluster that others use too


@dataclass(frozen=True)
class Share:
    """What each of ``workers`` gets. ``threads``: of torch's kernels."""

    workers: int
    cpus: float
    gpus: float
    threads: int
    given: bool  # the number of workers is the user's own, not a default


def share(
    *, workers: int | None, cpus: float | None, gpus: float | None, total_cpus: float, total_gpus: float, shared: bool
) -> Share:
    """``workers``, ``cpus``, ``gpus`` (per worker): as asked for, None for the default. ``total_*``: what the cluster has.

    Default: as many workers as GPUs, else one for every four cores, two on a small machine. Raises UsageError for what can
    never be.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers cannot train", where="--workers", help="ask for at least one")
    if gpus is None:
        gpus = 1.0 if total_gpus >= 1 and (workers is None or workers <= total_gpus) else 0.0
    count = workers
    if count is None:
        fit = math.inf if not cpus else total_cpus // cpus
        default = total_gpus // gpus if gpus else max(2, total_cpus // CORES_A_WORKER)
        count = max(1, int(min(default, fit)))
    if cpus is None:
        even = total_cpus / count
        even = min(even, CORES_A_WORKER) if shared else even
        cpus = float(int(even)) if even >= 1 else math.floor(even * 100) / 100
    for what, each, total in (("cpus", cpus, total_cpus), ("gpus", gpus, total_gpus)):
        if each * count > total + 1e-9:
            raise UsageError(
                f"{count} workers of {each:g} {what.upper()[:-1]}s need {each * count:g}; the cluster has {total:g}",
                where=f"--workers {count}, {what}_per_worker={each:g}",
                help=f"ask for fewer workers, or less for each: {what}_per_worker={max(total / count, 0.01):.2g}",
            )
    return Share(workers=count, cpus=cpus, gpus=gpus, threads=max(1, int(cpus)), given=workers is not None)


def release(name: str) -> None:
    """Gives the room that a run had reserved back to the cluster. Whoever leaves a run last calls it; twice does no harm."""
    from ray.util.placement_group import get_placement_group, remove_placement_group

    with contextlib.suppress(Exception):
        remove_placement_group(get_placement_group(name))


def alive_nodes() -> list[str]:
    """Ray's ids of the nodes that are there and not about to go."""
    import ray

    nodes: Any = ray.nodes
    going = draining_nodes()
    return [str(node["NodeID"]) for node in nodes() if node["Alive"] and node["NodeID"] not in going]


def draining_nodes() -> list[str]:
    """Nodes that Ray itself drains: a spot instance's notice, its autoscaler, ``ray drain-node``."""
    from ray._private.state import state

    known: Any = state
    return [str(node) for node in known.get_draining_nodes()]


def own_group(name: str, *, cpus: float, gpus: float, avoid: tuple[str, ...] = ()) -> Any:
    """A placement group for one worker, pending until there is room; not on the nodes of ``avoid``."""
    from ray.util.placement_group import placement_group

    selector = [{"ray.io/node-id": f"!in({','.join(avoid)})"}] if avoid else None
    bundle = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    return placement_group([bundle], strategy="PACK", name=name, lifetime="detached", bundle_label_selector=selector)


def reserve(ray: Any, share: Share, *, name: str, say: Callable[[str], None], wait: Callable[[Any], bool]) -> Any:
    """A placement group with room for every worker, all or none, so that two runs never hold half of what each needs.

    ``wait``: waits a second for it and says whether it is there; InterruptedError if the user does not want to wait any
    longer (then None is returned). Raises DeadlineExceeded after ``WAIT_S``."""
    from ray.util.placement_group import placement_group

    bundle = {"CPU": share.cpus} | ({"GPU": share.gpus} if share.gpus else {})
    group = placement_group([bundle] * share.workers, strategy="PACK", name=name, lifetime="detached")
    begun, said = time.monotonic(), False
    try:
        while not wait(group):
            if time.monotonic() - begun > WAIT_S:
                raise DeadlineExceeded(
                    f"the cluster had no room for {share.workers} workers within {WAIT_S:.0f} s",
                    help="ask for fewer, or see who uses it: ray status",
                )
            if not said:
                free = ray.available_resources()
                needs = ", ".join(f"{amount * share.workers:g} {what}s" for what, amount in bundle.items())
                has = ", ".join(f"{free.get(what, 0):g} {what}s" for what in bundle)
                say(f"waiting for room on the cluster: {needs} are needed, {has} are free")
                said = True
    except InterruptedError:
        return None
    return group
