"""The driver of a run on Ray: finds or starts a cluster, has the run's actors made on it, and relays what they say.

    result = train_on_ray(order, workers=2, address=None, watch=print, interrupt=Interrupt(), verbose=False)

It decides and computes nothing of the run, and imports no torch.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from gdist.cluster.actors import Actors
from gdist.cluster.asked import asked_resources
from gdist.cluster.follower import POLL_S, Follower, stopped
from gdist.cluster.names import new_run_id
from gdist.cluster.placement import share
from gdist.cluster.scratch import remove_abandoned
from gdist.cluster.session import open_session
from gdist.errors import DeadlineExceeded
from gdist.membership.hiring import PREPARE_S
from gdist.records import Interrupt, Order, Watch
from gdist.run.bounds import Bounds, Wanted, bounds
from gdist.run.folder import RunFolder
from gdist.run.store import is_url


def train_on_ray(
    order: Order,
    *,
    workers: Wanted | Bounds | None,
    address: str | None,
    watch: Watch,
    interrupt: Interrupt,
    verbose: bool = False,
) -> dict[str, Any]:
    """Trains ``order`` on Ray actors. ``workers``: how many, or bounds; None for the default; ``address``: of a cluster
    (RAY_ADDRESS counts too); None for a Ray of its own on this machine. Returns the contents of ``result.json``; raises
    GdistError."""
    order = _absolute(order)
    _refuse_taken_name(order)
    asked = asked_resources(order)
    remove_abandoned()
    session = open_session(address, verbose=verbose)
    try:
        cpus, gpus = _wait_for(asked, interrupt)
        if interrupt.stop.is_set() or interrupt.now.is_set():
            return stopped(interrupt)
        total = session.ray.cluster_resources()
        wanted = workers if workers is None or isinstance(workers, Bounds) else bounds(workers)
        each = share(
            workers=wanted.least if wanted else None, cpus=cpus, gpus=gpus,
            total_cpus=total.get("CPU", 0.0), total_gpus=total.get("GPU", 0.0), shared=not session.embedded,
        )  # fmt: skip
        run_id = new_run_id(order.name or Path(order.job_file or "job").stem)
        wanted = wanted or Bounds(each.workers, each.workers)
        actors = Actors(session, order, each, bounds=wanted, run_id=run_id)
        return Follower(session, actors, watch, interrupt).to_the_end()
    finally:
        session.close()


def _absolute(order: Order) -> Order:
    """Paths as seen from anywhere on this machine."""
    return replace(
        order,
        job_file=os.path.abspath(order.job_file) if order.job_file else None,
        run_dir=os.path.abspath(order.run_dir) if order.run_dir else None,
        runs_root=os.path.abspath(order.runs_root),
        weights=os.path.abspath(order.weights) if order.weights and not is_url(order.weights) else order.weights,
        out=os.path.abspath(order.out) if order.out else None,
    )


def _refuse_taken_name(order: Order) -> None:
    """Said before anything is started; the folder itself is made when the job is known."""
    if order.name and not order.resume and not order.run_dir:
        taken = RunFolder(Path(order.runs_root, order.name))
        if taken.path.exists() and taken.never_began is None:
            RunFolder.create(order.runs_root, name=order.name, numbered=False)


def _wait_for(asked: Future[tuple[float | None, float | None]], interrupt: Interrupt) -> tuple[float | None, float | None]:
    """What the job asks for; its loading runs user code, which may take long."""
    deadline = time.monotonic() + PREPARE_S
    while not wait([asked], timeout=POLL_S).done:
        if interrupt.stop.is_set() or interrupt.now.is_set():
            return None, None
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"the job file was not loaded within {PREPARE_S:.0f} s")
    return asked.result()
