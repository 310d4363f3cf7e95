"""A member of the work with a trained run: it evaluates it, or predicts with it; started and ended like one that trains.

All workers have the same weights and the same rows; each takes its share. The run itself is only read.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.errors import RunFailed
from gdist.records import Membership
from gdist.run.folder import RunFolder
from gdist.worker.blame import blaming_user
from gdist.worker.member import Member
from gdist.worker.rounds import in_rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gdist.engine.collective import Collective
    from gdist.job.job import Job
    from gdist.worker.trained import Trained


class Inference(Member):
    """``order.purpose`` is "evaluate" or "predict"."""

    _trained: Trained | None = None
    _collective: Collective | None = None

    @property
    def trained(self) -> Trained:
        """The run as opened by ``prepare``."""
        if self._trained is None:
            raise RunFailed("the worker was asked to work before it was prepared")
        return self._trained

    @property
    def device(self) -> str:
        return self.trained.device.type

    @property
    def shares(self) -> int:
        """More workers than this would have nothing to do."""
        return self._parts

    def join(
        self, membership: Membership, collective: Collective | None = None, *, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        trained = self.trained
        from gdist.worker.handover import Weights, level

        self._allowances.enter("join")
        self.outbox.leads = membership.rank == 0
        self._collective = collective or self._connect(membership, cancelled)
        level(self._collective, Weights(trained.replica), device=trained.device)
        run = RunFolder(Path(str(self.order.run_dir)))
        self.outbox.event(
            "opened", purpose=self.order.purpose, run=run.name, run_dir=str(run.path), weights=trained.weights,
            data=trained.rows_of, samples=len(trained.feed), workers=membership.size,
        )  # fmt: skip

    def work(self) -> dict[str, Any]:
        """Evaluates or predicts; returns what the event ``finished`` says."""
        self._allowances.enter(self.order.purpose, allowed=math.inf)
        reason, found = self._evaluate() if self.order.purpose == "evaluate" else self._predict()
        self.outbox.flush()
        run = RunFolder(Path(str(self.order.run_dir)))
        return {
            "status": "done" if reason is None else "stopped",
            "reason": reason or "all rows used",
            "purpose": self.order.purpose,
            "run": run.name,
            "run_dir": str(run.path),
            "weights": self.trained.weights,
            "data": self.trained.rows_of,
            "workers": self._joined.size,
            "wall_seconds": time.time() - self.order.started,
            **found,
        }

    def leave(self) -> None:
        if self._collective is not None:
            self._collective.close()
            self._collective = None

    def close(self) -> None:
        self.leave()
        if self._trained is not None:
            self._trained.feed.close()

    def _make(self, job: Job) -> None:
        from gdist.worker.predicting import Predicting
        from gdist.worker.trained import open_trained

        trained = self._trained = open_trained(job, self.order)
        self._parts = trained.groups
        if self.order.purpose == "predict":
            self._predicting = Predicting(trained, keep=self.order.keep)
            self._parts = len(self._predicting.batches)

    def _kernel_threads(self, job: Job) -> int | None:
        return job.threads or 1  # the same bits at any number of workers: more of them take more cores

    @property
    def _joined(self) -> Collective:
        assert self._collective is not None, "join() comes first"
        return self._collective

    def _evaluate(self) -> tuple[str | None, dict[str, Any]]:
        from gdist.worker.evaluation import Evaluation

        trained = self.trained
        evaluation = Evaluation(
            trained.task, trained.feed, metrics=trained.job.metrics, groups=trained.groups, precision=trained.precision,
            seed=trained.job.seed, device=trained.device,
        )  # fmt: skip
        with blaming_user("the evaluation failed in the job's code", worker=self._joined.rank):
            reason = self._in_rounds(evaluation.work(self._joined))
            if reason is not None:
                return reason, {}
            metrics = evaluation.combine(self._joined)
        return None, {"rows": evaluation.rows, "bad": evaluation.bad, "metrics": metrics}

    def _predict(self) -> tuple[str | None, dict[str, Any]]:
        """Each worker writes its part; then the one that leads joins them, while the others wait."""
        import torch

        from gdist.run.predictions import Parts

        trained, predicting, place = self.trained, self._predicting, self._joined
        assert self.order.out is not None
        parts = Parts(Path(self.order.out))
        try:
            if self.outbox.leads:
                parts.begin()
            ready = torch.zeros(1, device=trained.device)
            place.all_reduce(ready).wait()  # the folder is there
            with blaming_user("the prediction failed in the job's code", worker=place.rank):
                reason = self._in_rounds(predicting.work(rank=place.rank, size=place.size, into=parts.part(place.rank)))
            if reason is not None:
                return reason, {}
            bad = torch.tensor([predicting.bad], dtype=torch.float64, device=trained.device)
            place.all_reduce(bad).wait()
            joining = predicting.join(parts, workers=place.size) if self.outbox.leads else iter(())
            reason = in_rounds(joining, place, wishes=self._wishes, tell=_nothing, device=trained.device)
            if reason is not None:
                return reason, {}
        finally:
            if self.outbox.leads:
                parts.end()
        rows = len(trained.feed)
        return None, {"rows": rows, "bad": int(bad), "out": self.order.out, "columns": predicting.columns}

    def _in_rounds(self, work: Iterator[int]) -> str | None:
        def tell(rows: int) -> None:
            line = {"rows": rows, "samples": len(self.trained.feed), "workers": self._joined.size}
            self.outbox.line({"kind": "progress", **line, "time": time.time()})

        return in_rounds(work, self._joined, wishes=self._wishes, tell=tell, device=self.trained.device)


def _nothing(rows: int) -> None:
    """Joining the parts is told by nobody."""
