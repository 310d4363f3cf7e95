"""A job file: plain Python that defines ``job``. Its mistakes are shown where they are, not where they were noticed."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from gdist.errors import GdistError, JobError
from gdist.job.job import Job
from gdist.job.overrides import apply_overrides


def load_job(path: str | Path, *, overrides: Sequence[str] = ()) -> Job:
    """Runs the file and returns its ``job`` with ``overrides`` applied. The file's folder comes first on ``sys.path``, so that
    it may import its neighbours. Raises JobError and UsageError."""
    module = _run(Path(path))
    job = getattr(module, "job", None)
    if not isinstance(job, Job):
        found = f"`job` is a {type(job).__name__}" if job is not None else "it defines no `job`"
        raise JobError(
            f"{path} is no job file: {found}", where=str(path), help="write job = gdist.Job(model=..., loss=..., data=...)"
        )
    return apply_overrides(job, overrides)


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise JobError(f"no job file {path}", where=str(path.resolve()), help="name a Python file that defines `job`")
    name = "job_" + re.sub(r"\W", "_", path.stem)
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise JobError(f"{path} is no Python file", where=str(path), help="a job file ends in .py")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise JobError(
            f"{path} cannot be read as Python: {error.msg}", where=f"{_short(error.filename)}:{error.lineno}: {line}"
        ) from error
    except GdistError as error:
        error.where = error.where or _place(error)
        raise
    except (Exception, SystemExit) as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        raise JobError(
            f"{path} failed while it was loaded",
            where=_place(error),
            note=f"{type(error).__name__}: {error}",
            help=f"install it: pip install {missing}" if missing else None,
        ) from error
    return module


def _place(error: BaseException) -> str | None:
    """The deepest line that is neither gdist's nor a library's."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = os.path.abspath(frame.filename)
        if not path.startswith((own, sys.base_prefix, sys.prefix)) and not frame.filename.startswith("<"):
            return f"{_short(frame.filename)}:{frame.lineno}: {frame.line}"
    return None


def _short(filename: str | None) -> str:
    relative = os.path.relpath(filename or "?")
    return relative if not relative.startswith("..") else str(filename)
