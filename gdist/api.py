"""``train``: a job, from Python; ``audit``: what a run has read, proved; ``launch``, which the command line shares with it.

from gdist import Job, train
result = train(job, workers=2)
result.validation["accuracy"], result.metrics(), result.model_state()
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gdist.errors import GdistError, UsageError
from gdist.records import Interrupt, Order, Watch
from gdist.run.bounds import Wanted, bounds

if TYPE_CHECKING:
    import pyarrow
    from torch import Tensor

    from gdist.display.signals import Signals
    from gdist.job.job import Job

Show = Literal["live", "plain"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended. ``status``: "done", or "stopped" (somebody asked); a failure is an exception.

    ``train`` and ``validation`` are those of the last evaluation, ``test`` those of the final weights; ``weights_sha256`` is
    over parameters and buffers.
    """

    path: Path
    status: str
    reason: str
    train: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] | None = None
    test: dict[str, float] | None = None
    steps: int = 0
    epochs: float = 0.0
    wall_seconds: float = 0.0
    weights_sha256: str = ""

    def metrics(self) -> pyarrow.Table:
        """A row per step: step, epoch, loss, lr, grad_norm, samples, workers, ..., ``seconds.PHASE`` and ``log.NAME``."""
        import pyarrow

        from gdist.run.folder import RunFolder

        rows = [_flat(line) for line in RunFolder(self.path).metrics("step")]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return pyarrow.table({name: [row.get(name) for row in rows] for name in names})

    def model_state(self) -> dict[str, Tensor]:
        """The trained weights by their names in ``state_dict()``. Raises CheckpointError if there is no model file."""
        from gdist.run.model import read_model

        return read_model(self.path)

    def __repr__(self) -> str:
        shown = {"train": self.train, "validation": self.validation or {}, "test": self.test or {}}
        numbers = " ".join(f"{split}.{name}={value:.5g}" for split, values in shown.items() for name, value in values.items())
        return f"<Result {self.status}, {self.steps} steps, {numbers or 'no evaluation'}, {self.path}>"


def train(
    job: Job | str | Path | None = None,
    *,
    workers: Wanted | None = None,
    resume: str | Path | None = None,
    accept: Sequence[str] = (),
    address: str | None = None,
    local: bool = False,
    name: str | None = None,
    runs: str | Path = "runs",
    run_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    show: Show | Watch | bool | None = None,
) -> Result:
    """Trains ``job`` (a Job, or a job file's path) and returns how it went.

    ``workers``: so many, a lost one is replaced; ``"1:8"`` or ``(1, 8)``: from one to eight, as there is room; None: one per
    GPU, or a few for the cores. ``resume``: a run to go on with; its own copy of the job file is used, so ``job`` is given
    only if it was made in Python; ``accept``: what may be another than it was, such as ``("model", "data")``. ``local``: in
    this process, without Ray. ``overrides``: ``"epochs=5"``. ``show``: None: live in a terminal, else lines; False: nothing;
    or a function that takes Updates.
    Ctrl-C once ends the run with a checkpoint and returns; twice raises KeyboardInterrupt.
    Raises GdistError.
    """
    if resume is not None:
        order = resume_order(resume, job=job, overrides=overrides, runs=runs, accept=accept)
    elif job is None:
        raise UsageError("what should be trained?", help="train(job), or train(resume=RUN)")
    else:
        is_file = isinstance(job, str | Path)
        order = Order(
            job_file=str(job) if is_file else None, job=None if is_file else job, overrides=tuple(overrides),
            runs_root=str(runs), run_dir=str(run_dir) if run_dir is not None else None, name=name,
        )  # fmt: skip
    result = watched(order, workers=workers, address=address, local=local, show=show)
    known = {each.name for each in dataclasses.fields(Result)} - {"path"}
    return Result(path=Path(result["run_dir"]), **{key: value for key, value in result.items() if key in known})


def launch(
    order: Order,
    *,
    workers: Wanted | None,
    address: str | None,
    local: bool,
    watch: Watch,
    interrupt: Interrupt,
    verbose: bool = False,
) -> dict[str, Any]:
    """Does what ``order`` asks here or on Ray; returns the contents of result.json. Raises GdistError, UsageError at once."""
    wanted = bounds(workers) if workers is not None else None
    if wanted is not None and order.purpose != "train" and wanted.least != wanted.most:
        raise UsageError(
            f"{order.purpose} has the same workers until its end",
            where=f"--workers {wanted}",
            help=f"as many as there are at most: --workers {wanted.most}",
        )
    if local:
        if (wanted is not None and str(wanted) != "1") or address is not None:
            given = f"--address {address}" if address is not None else f"--workers {wanted}"
            raise UsageError(f"--local is one process of this machine: {given} cannot act", help="leave one of the two out")
        from gdist.worker.local import train_local

        return train_local(order, watch=watch, interrupt=interrupt)
    from gdist.cluster.driver import train_on_ray
    from gdist.run.predictions import discard

    try:
        found: dict[str, Any] = train_on_ray(
            order, workers=wanted, address=address, watch=watch, interrupt=interrupt, verbose=verbose
        )
        return found
    finally:
        discard(order.out)  # what a killed worker has left


def resume_order(
    run: str | Path,
    *,
    job: Job | str | Path | None = None,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    accept: Sequence[str] = (),
) -> Order:
    """The order that goes on with ``run``; ``accept``: what may differ from what it was (``model``, ``data``, a field).

    Raises UsageError, with why, where that has no meaning; RunNotFound."""
    from gdist.run.find import find_run
    from gdist.run.resume import changed, check_accepted, check_changes, check_end, check_job, joined

    check_accepted(accept)
    folder = find_run(run, root=runs)
    folder.hold()  # now rather than when all is started; whoever trains it holds it again
    folder.let_go()
    content, job_file = folder.job(), folder.job_file()
    before = content.get("job") or {}
    if job_file is not None and job is not None:
        raise UsageError(f"run `{folder.name}` has its own copy of its job", help=f'train(resume="{run}", overrides=[...])')
    if job_file is None and (job is None or isinstance(job, str | Path)):
        raise UsageError(
            f"the job of run `{folder.name}` was made in Python and has no file",
            where=str(folder.path),
            help=f'make it again there, and: train(job, resume="{run}")',
        )
    check_changes(before, overrides, accept=accept)
    given = changed(overrides)
    if job_file is None:
        from gdist.job.describe import describe
        from gdist.job.overrides import apply_overrides

        now = describe(apply_overrides(job, overrides))  # type: ignore[arg-type]
        check_job(before, now, accept=accept)
        given = {field: value for field, value in now.items() if value != before.get(field)}
    result = folder.result()
    steps = result["steps"] if result else max((int(line["step"]) for line in folder.metrics("step")), default=0)
    per_epoch = [each["steps_per_epoch"] for each in folder.events() if each.get("event") == "started"]
    check_end(given, run=folder.name, result=result, steps=steps, steps_per_epoch=per_epoch[-1] if per_epoch else None)
    return Order(
        job_file=str(job_file) if job_file is not None else None,
        job=job if job_file is None else None,
        overrides=joined(content.get("overrides", ()), overrides) if job_file is not None else tuple(overrides),
        run_dir=str(folder.path),
        resume=True,
        accept=tuple(accept),
    )


def audit(run: str | Path, *, job: Job | None = None, runs: str | Path = "runs") -> dict[str, Any]:
    """Whether every sample was used exactly once in each epoch of ``run``: ``proved``, ``lost``, ``doubled``, and ``epochs``
    with the samples of each by what became of them, and ``faults`` by name.

    ``job``: of a run whose job was made in Python. Raises RunNotFound, UsageError, DataError where the data has changed."""
    from gdist.run.find import find_run
    from gdist.worker.audit import audit_run

    folder = find_run(run, root=runs)
    return {"run": folder.name, **audit_run(folder, job).to_dict()}


def watched(
    order: Order, *, workers: Wanted | None, address: str | None, local: bool, show: Show | Watch | bool | None
) -> dict[str, Any]:
    """``launch`` with a display and with Ctrl-C taken. Raises KeyboardInterrupt where Ctrl-C has left no result."""
    from gdist.display.attend import attending
    from gdist.display.choose import choose_display

    interrupt, result = Interrupt(), dict[str, Any]()
    display = None if show is False or callable(show) else choose_display(plain=show == "plain")
    watch = show if callable(show) else display or _nobody

    def at_once(signals: Signals) -> None:
        if local:  # a driver sees it by itself
            signals.raise_interrupt()

    try:
        with attending(display, interrupt, at_once=at_once):
            result = launch(order, workers=workers, address=address, local=local, watch=watch, interrupt=interrupt)
    except GdistError:
        if not interrupt.now.is_set():
            raise
    if result.get("run_dir") is None or (interrupt.now.is_set() and result["status"] != "done"):
        raise KeyboardInterrupt
    return result


def _nobody(update: Any) -> None:
    """Watches without showing."""


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in line.items():
        if isinstance(value, dict):
            row |= {f"{key}.{name}": each for name, each in value.items()}
        elif key != "kind":
            row[key] = value
    return row
