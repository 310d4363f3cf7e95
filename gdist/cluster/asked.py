"""What a job asks for each worker, found without loading it where that is possible: loading imports torch, which takes longer
than all the rest of the driver.

A job made in Python says it; an override says it; a job file in whose text neither field occurs says nothing. Only else the
file is loaded, on a thread while Ray starts.
"""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

from gdist.records import Order

FIELDS = ("cpus_per_worker", "gpus_per_worker")


def asked_resources(order: Order) -> Future[tuple[float | None, float | None]]:
    """(cpus, gpus) for each worker, None where the job leaves it to gdist. The future raises what loading the job raises."""
    asked: Future[tuple[float | None, float | None]] = Future()
    if _needs_loading(order):
        Thread(target=_load, args=(order, asked), name="gdist-job", daemon=True).start()
    else:
        asked.set_result((_of(order, FIELDS[0]), _of(order, FIELDS[1])))
    return asked


def _needs_loading(order: Order) -> bool:
    if any(override.partition("=")[0].strip() in FIELDS for override in order.overrides):
        return True  # their types are checked by the job
    if order.job is not None or order.job_file is None:
        return False
    try:
        text = Path(order.job_file).read_text(errors="replace")
    except OSError:
        return True  # loading says what is wrong with it
    return any(field in text for field in FIELDS)


def _of(order: Order, field: str) -> float | None:
    value: float | None = getattr(order.job, field, None)
    return value


def _load(order: Order, asked: Future[tuple[float | None, float | None]]) -> None:
    try:
        from gdist.job.load import load_job
        from gdist.job.overrides import apply_overrides

        if order.job is not None:
            job: Any = apply_overrides(order.job, order.overrides)
        else:
            assert order.job_file is not None
            job = load_job(order.job_file, overrides=order.overrides)
        asked.set_result((job.cpus_per_worker, job.gpus_per_worker))
    except BaseException as error:
        asked.set_exception(error)
