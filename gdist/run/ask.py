"""From a trained run and what is asked of it to an order for its workers. The run is only read, and may be going on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from gdist.errors import UsageError
from gdist.records import Order
from gdist.run.find import find_run
from gdist.run.predictions import check_out
from gdist.run.resume import check_changes, joined
from gdist.run.weights import choose_weights

_DIVIDE = ("seed", "validation", "test")  # which rows were held out follows from them


def order_to(
    purpose: Literal["evaluate", "predict"],
    run: str | Path,
    *,
    runs: str | Path = "runs",
    data: Any = None,
    job: Any = None,
    overrides: Sequence[str] = (),
    metrics: Sequence[str] = (),
    checkpoint: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    keep: Sequence[str] = (),
) -> Order:
    """``data``: a path, or what a job takes as data; None: the rows that the job holds out, or its whole training source if an
    override changes that. ``job``: of a run whose job was made in Python. ``out``: the file of predictions, of a kind that its
    ending says; one that is there is refused unless ``force``. ``keep``: columns of the data to write beside the predictions.

    Raises RunNotFound, UsageError, CheckpointError."""
    folder = find_run(run, root=runs)
    job_file = folder.job_file()
    if job_file is not None and job is not None:
        raise UsageError(f"run `{folder.name}` has its own copy of its job", help="leave job= out; overrides=[...] change it")
    if job_file is None and job is None:
        raise UsageError(
            f"the job of run `{folder.name}` was made in Python and has no file",
            where=str(folder.path),
            help=f'make it again there, and: gdist.{purpose}("{run}", job=job)',
        )
    if out is not None:
        check_out(str(out), force=force)
    content = folder.job()
    if data is None:
        check_changes(content.get("job") or {}, [word for word in overrides if word.split("=")[0] in _DIVIDE])
    chosen = (*overrides, f"metrics={','.join(metrics)}") if metrics else tuple(overrides)
    return Order(
        purpose=purpose,
        job_file=str(job_file) if job_file is not None else None,
        job=job,
        overrides=joined(content.get("overrides", ()), chosen) if job_file is not None else chosen,
        run_dir=str(folder.path),
        weights=str(choose_weights(folder, checkpoint)),
        data=os.fspath(data) if isinstance(data, os.PathLike) else data,
        whole=data is None and any(word.startswith("data.") for word in chosen),
        out=str(out) if out is not None else None,
        keep=tuple(keep),
    )
