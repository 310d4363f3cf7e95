"""A job as JSON: what stands in job.json, and what two workers compare.

Invariant: equal jobs give equal descriptions in every process (no address, no order of a set), and no secret is in one.
"""

from __future__ import annotations

import functools
import math
import re
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from gdist.job.job import Job

_SECRET = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|token|credentials?|(api|access|secret|private|account|sas)_?key(_id)?)$", re.I
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")  # user:password@ of a URL
_SIGNATURE = re.compile(r"(?i)([?&](?:[\w-]*(?:signature|token|key|secret|password|credential)[\w-]*|sig))=[^&\s]+")
HIDDEN = "***"


def describe(job: Job) -> dict[str, Any]:
    """Every field as resolved; functions and classes as ``module:name``, arrays as dtype and shape, secrets as ``***``."""
    described = {name: plain(getattr(job, name)) for name in Job.model_fields if name != "accumulate"}
    if job.last is not None:
        described[job.last[0]] = job.last[1]
    return described


def plain(value: Any) -> Any:
    """Any value of a job as JSON. A number that JSON has no word for becomes one: 'nan', 'inf'."""
    if isinstance(value, BaseModel):
        return _described(value)
    if isinstance(value, dict):
        return {str(key): _secretless(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(each) for each in value), key=repr)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | PurePath):
        return without_credentials(str(value))
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, functools.partial):
        return {"partial": plain(value.func), "args": plain(value.args), "kwargs": plain(value.keywords)}
    if type(value).__module__ == "torch" and type(value).__name__ in ("dtype", "device"):
        return str(value).removeprefix("torch.")
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"


def without_credentials(text: str) -> str:
    """A path or URL as it may be shown."""
    return _SIGNATURE.sub(rf"\1={HIDDEN}", _CREDENTIALS.sub(f"{HIDDEN}@", text)) if "://" in text else text


def _described(value: BaseModel) -> dict[str, Any]:
    own = getattr(value, "describe", None)
    if callable(own):
        return {str(key): _secretless(str(key), each) for key, each in own().items()}
    kind = getattr(type(value), "kind", None)
    fields = {name: _secretless(name, getattr(value, name)) for name in type(value).model_fields}
    return {"kind": kind or type(value).__name__, **fields} if kind is not None else fields


def _secretless(name: str, value: Any) -> Any:
    return HIDDEN if isinstance(value, str) and value and _SECRET.search(name) else plain(value)
