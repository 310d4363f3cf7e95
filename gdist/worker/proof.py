"""What a worker that wants to join must have in common with the others: the same job, code, data and versions, and, where the
job is exact, the same bits of a reference micro-batch's gradient."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdist.job.job import Job
    from gdist.records import Order
    from gdist.worker.build import Built


def proof(job: Job, order: Order, built: Built | None) -> dict[str, Any]:
    """By name, as JSON. ``built`` None: what is made of the data is not known yet, and left out."""
    import torch

    from gdist.engine.plan import digest
    from gdist.job.describe import describe
    from gdist.run.source import local_files
    from gdist.run.versions import versions

    found: dict[str, Any] = {"job": f"{digest(job=describe(job)):08x}", "torch": torch.__version__}
    found["gdist"] = versions().get("gdist")
    if order.job_file is not None:
        code = hashlib.sha256()
        for path in local_files(Path(order.job_file).resolve()):
            code.update(path.read_bytes())
        found["code"] = code.hexdigest()[:16]
    if built is not None:
        found["data"] = built.data.fingerprint
        found["micro_batches"] = built.plan.micro_batches
        found["dtype"] = str(built.precision.dtype).removeprefix("torch.")
        if job.exact:
            found["probe"] = built.findings.gradient_bits
    return found
