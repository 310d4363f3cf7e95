"""Jobs of a second or less, for runs whose workers die, leave and join; all exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gdist.data.tensors import Tensors
from gdist.job import Job
from gdist.job.stopping import Stop
from tests.worker.jobs import Adversaries, Centres, arrays, network, plain

COMMON: dict[str, Any] = {"validation": 0.2, "batch_size": 24, "micro_batches": 4, "epochs": 4, "threads": 1, "exact": True}


def test_data() -> Tensors:
    x, y = arrays(seed=3)
    return Tensors(features=x, target=y)


JOBS: dict[str, Callable[[], Job]] = {
    "plain": lambda: Job(model=plain, loss="cross_entropy", data=arrays(), metrics=["accuracy"], test=test_data(), **COMMON),
    "normed": lambda: Job(model=network, loss="cross_entropy", data=arrays(), metrics=["accuracy"], ema=0.9, **COMMON),
    "gan": lambda: Job(task=Adversaries, data=arrays(), **COMMON),
    "centres": lambda: Job(task=Centres, data=arrays(), **COMMON),
    "best": lambda: Job(
        model=plain, loss="cross_entropy", data=arrays(), stop=Stop(restore_best=True), test=test_data(), **COMMON
    ),
}
