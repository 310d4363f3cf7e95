"""How a worker is hired: the same way by the driver, which starts the first ones, and by the controller later on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gdist.cluster.assignment import Assignment
from gdist.cluster.charge import Terms
from gdist.cluster.names import NAMESPACE, worker_name
from gdist.cluster.scratch import scratch_path
from gdist.cluster.worker_actor import WorkerActor
from gdist.run.folder import RunFolder

DETACHED: dict[str, Any] = {"namespace": NAMESPACE, "lifetime": "detached", "max_task_retries": 0}


def hire(ray: Any, terms: Terms, slot: int, incarnation: int, *, room: Any = None, folder: RunFolder | None = None) -> Any:
    """The handle of a new worker, to be called to life. ``room``: (placement group, bundle) on a shared cluster; ``folder``: of
    a run that trains already: its data need not be learned about again."""
    order = replace(terms.order, page_dir=str(page_folder(terms.run_id, incarnation)))
    if folder is not None and order.purpose == "train":
        order = replace(order, run_dir=str(folder.path.resolve()))
        if not order.resume:
            order = replace(order, data_state=folder.data().get("state"))
    given = Assignment(
        run_id=terms.run_id, slot=slot, incarnation=incarnation, order=order, made=terms.made, folder=terms.folder,
        threads=terms.threads, one_machine=terms.embedded,
    )  # fmt: skip
    # workers on a Ray of their own take no CPUs of it: there is nobody to share with, and any number of them fits
    cpus = 0 if terms.embedded else terms.cpus
    options: dict[str, Any] = {"name": worker_name(terms.run_id, slot, incarnation), "num_cpus": cpus, "num_gpus": terms.gpus}
    if room is not None:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(*room)
    return ray.remote(WorkerActor).options(**DETACHED, max_restarts=0, **options).remote(given)


def page_folder(run_id: str, incarnation: int) -> Any:
    """Where workers of that incarnation write their pages: one that was given up never writes on its successor's."""
    return scratch_path(run_id) / f"pages-{incarnation}"


def page_path(scratch: Any, slot: int, incarnation: int) -> Any:
    return scratch / f"pages-{incarnation}" / f"worker-{slot}"
