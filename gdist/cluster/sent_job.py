"""A job made in Python on its way to the workers: pickled by Ray's cloudpickle (lambdas and what ``__main__`` holds go by
value), read by nobody but the workers, and never stored.
"""

from __future__ import annotations

import pickle
from typing import Any

from gdist.errors import JobError

_HELP = "make what it holds from plain data, functions and importable modules, or put the job into a file"


def pack_job(job: Any) -> bytes:
    """Raises JobError for what cannot be sent."""
    from ray import cloudpickle

    pickler: Any = cloudpickle
    try:
        return bytes(pickler.dumps(job))
    except Exception as error:
        raise JobError(
            "the job cannot be sent to the workers", note=f"{type(error).__name__}: {error}"[:600], help=_HELP
        ) from error


def unpack_job(packed: bytes) -> Any:
    """In a worker. Raises JobError, for example for a module that is not there."""
    try:
        return pickle.loads(packed)
    except Exception as error:
        raise JobError(
            "the job cannot be read by a worker", note=f"{type(error).__name__}: {error}"[:600], help=_HELP
        ) from error
