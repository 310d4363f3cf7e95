"""A job as JSON: what stands in job.json, and what two workers compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gdist.job.job import Job


def describe(job: Job) -> dict[str, Any]:
    """Every field as resolved; functions and classes by ``module:name``."""
    described = {name: _plain(getattr(job, name)) for name in type(job).model_fields if name != "accumulate"}
    if job.last is not None:
        described[job.last[0]] = job.last[1]
    return described


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        own = getattr(value, "describe", None)
        if callable(own):
            return own()
        kind = getattr(type(value), "kind", None)
        fields = {name: _plain(getattr(value, name)) for name in type(value).model_fields}
        return {"kind": kind, **fields} if kind else fields
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"
