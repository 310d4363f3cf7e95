"""The task of most jobs: a model and a loss, minimized over labelled samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gdist.job.agreement import takes_data
from gdist.task.losses import named
from gdist.task.task import Descend, Gather, Loss, Task

if TYPE_CHECKING:
    from torch import Tensor

    from gdist.data.batch import Batch
    from gdist.data.facts import DataFacts
    from gdist.job.job import Job


def make(job: Job, data: DataFacts) -> Task:
    """The job's task; its class, or the model's function, gets ``data`` where it has a parameter of this name."""
    kind = job.task or Supervised
    return kind(job, data=data) if takes_data(kind) else kind(job)  # type: ignore[call-arg]


class Supervised(Task):
    """``job.model`` with ``job.loss``: a name (then outputs are compared with ``batch.target``), or ``loss(model, batch)``."""

    def __init__(self, job: Job, data: DataFacts | None = None) -> None:
        super().__init__(job)
        assert job.model is not None
        facts = {"data": data} if data is not None and takes_data(job.model) and "data" not in job.model_args else {}
        self.module = job.model(**facts, **job.model_args)
        self._outputs: Callable[[Any, Batch], Tensor] = job.predict or (lambda model, batch: model(batch.features))
        self._criterion = named(job.loss) if isinstance(job.loss, str) else None

    def cycle(self) -> list[Descend | Gather]:
        return [Descend(loss=self.evaluate)]

    def evaluate(self, batch: Batch) -> Loss | Tensor:
        if self._criterion is None:
            assert callable(self.job.loss)
            return self.job.loss(self.module, batch)
        return self._criterion(self.predict(batch), batch.target)

    def predict(self, batch: Batch) -> Tensor:
        return self._outputs(self.module, batch)
