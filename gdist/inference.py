"""``evaluate`` and ``predict``: a trained run put to use, from Python.

from gdist import evaluate, predict
evaluate("digits", workers=2)["accuracy"], predict("digits", data="new.parquet")["prediction"]
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gdist.api import Show, watched
from gdist.records import Order, Watch
from gdist.run.ask import order_to
from gdist.run.find import find_run

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.job.job import Job


def evaluate(
    run: str | Path,
    *,
    data: Any = None,
    job: Job | None = None,
    metrics: Sequence[str] = (),
    checkpoint: str | int | None = None,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    address: str | None = None,
    local: bool = False,
    runs: str | Path = "runs",
    show: Show | Watch | bool | None = None,
) -> dict[str, float]:
    """The loss and metrics of ``run`` (a name or a path), the same numbers with any number of workers.

    ``data``: a path, or what a job takes as data; None: the rows that the job holds out. ``job``: of a run whose job was made
    in Python. ``metrics``: in place of the job's. ``checkpoint``: a step, or "best". The rest as for ``train``.
    Raises GdistError.
    """
    order = _order("evaluate", run, runs, data, job, overrides, checkpoint, metrics=metrics)
    found: dict[str, float] = _done(order, workers=workers, address=address, local=local, show=show)["metrics"]
    return found


def predict(
    run: str | Path,
    *,
    data: Any = None,
    job: Job | None = None,
    keep: Sequence[str] = (),
    checkpoint: str | int | None = None,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    address: str | None = None,
    local: bool = False,
    runs: str | Path = "runs",
    show: Show | Watch | bool | None = None,
) -> dict[str, np.ndarray]:
    """What ``run`` says of each row of ``data``, in its order: ``row``, ``prediction`` and, of classes, ``probability``, each
    of shape (rows, ...); with the columns ``keep`` of the data. Bad rows that the data lets pass are NaN.

    The rest as for ``evaluate``. For more rows than fit into memory: gdist predict RUN --out predictions.parquet.
    """
    import pyarrow as pa

    beside = find_run(run, root=runs).path.parent  # where the workers of other machines write too
    with tempfile.TemporaryDirectory(prefix=".predict-", dir=beside) as folder:
        out = Path(folder, "predictions.arrow")
        order = _order("predict", run, runs, data, job, overrides, checkpoint, out=out, keep=keep)
        _done(order, workers=workers, address=address, local=local, show=show)
        table = pa.ipc.open_file(out).read_all()
    return {name: _as_array(table[name].combine_chunks()) for name in table.column_names}


def _order(
    purpose: Literal["evaluate", "predict"],
    run: str | Path,
    runs: str | Path,
    data: Any,
    job: Job | None,
    overrides: Sequence[str],
    checkpoint: str | int | None,
    **more: Any,
) -> Order:
    chosen = str(checkpoint) if checkpoint is not None else None
    return order_to(purpose, run, runs=runs, data=data, job=job, overrides=overrides, checkpoint=chosen, **more)


def _done(order: Order, **how: Any) -> dict[str, Any]:
    """The result; KeyboardInterrupt where Ctrl-C has left none."""
    result = watched(order, **how)
    if result["status"] != "done":
        raise KeyboardInterrupt
    return result


def _as_array(column: pa.Array) -> np.ndarray:
    """[rows], or [rows, ...] of lists of fixed sizes; a null is NaN."""
    import numpy as np
    import pyarrow.types as is_

    if not is_.is_fixed_size_list(column.type):
        plain: np.ndarray = column.to_numpy(zero_copy_only=False)
        return plain
    size = column.type.list_size
    inner = _as_array(column.values.slice(column.offset * size, len(column) * size))
    found = inner.reshape(len(column), size, *inner.shape[1:])
    if column.null_count:
        found = found.astype(np.result_type(found.dtype, np.float32))
        found[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return found
