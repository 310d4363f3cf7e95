"""A job file: plain Python that defines ``job``. Its mistakes are shown where they are, not where they were noticed."""

from __future__ import annotations

import linecache
import os
import re
import sys
import traceback
import types
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NoReturn

from gdist.description import line_of_code
from gdist.errors import GdistError, JobError
from gdist.job.job import Job
from gdist.job.overrides import apply_overrides

_PACKAGES = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}  # named unlike their module
_GDIST = str(Path(__file__).resolve().parents[1]) + os.sep


def load_job(path: str | Path, *, overrides: Sequence[str] = ()) -> Job:
    """Runs the file and returns its ``job`` with ``overrides`` applied. The file's folder comes first on ``sys.path``, so that
    it may import its neighbours. Raises JobError with the user's own line, and UsageError."""
    module = _run(Path(path))
    job = getattr(module, "job", None)
    if not isinstance(job, Job):
        _no_job(Path(path), module)
    return apply_overrides(job, overrides)


def _run(path: Path) -> types.ModuleType:
    source = _source(path)
    file = str(path.resolve())
    linecache.checkcache(file)
    _first_on_the_path(str(path.resolve().parent))
    module = types.ModuleType("job_" + re.sub(r"\W", "_", path.stem))
    module.__file__ = file
    module.__spec__ = ModuleSpec(module.__name__, None, origin=file)
    sys.modules[module.__name__] = module  # dataclasses and pickle look a class's module up
    try:
        # Compiled here and not by the import system, whose cache may hold an older text of the same second and size.
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    except SyntaxError as error:
        _syntax(path, error)
    except GdistError as error:
        error.where = error.where or _place(error, file)
        raise
    except (Exception, SystemExit) as error:
        _failed(path, error, file)
    return module


def _source(path: Path) -> bytes:
    if path.is_dir():
        raise JobError(f"{path} is a folder, not a job file", help=f"files in it: {_python_files(path)}")
    if path.suffix != ".py":
        raise JobError(f"{path} is no job file", help="a job file is Python and ends in .py")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise JobError(
            f"there is no job file {path}",
            where=str(path.absolute()),
            help=f"files in {path.parent}: {_python_files(path.parent)}",
        ) from None
    except OSError as error:
        raise JobError(f"{path} cannot be read: {error.strerror}", where=str(path.absolute())) from None


def _python_files(folder: Path) -> str:
    found = sorted(each.name for each in folder.glob("*.py")) if folder.is_dir() else []
    return ", ".join(found[:10]) or "no .py"


def _first_on_the_path(folder: str) -> None:
    """Puts the folder first, and forgets neighbours of the same name that an earlier job file imported from elsewhere."""
    if sys.path[:1] != [folder]:
        sys.path[:] = [folder, *(each for each in sys.path if each != folder)]
    for each in Path(folder).iterdir():
        if each.suffix != ".py" and not (each / "__init__.py").is_file():
            continue
        loaded = sys.modules.get(each.stem)
        old = getattr(loaded, "__file__", None)
        if old and not old.startswith((folder + os.sep, sys.prefix, sys.base_prefix, _GDIST)):
            for name in [n for n in sys.modules if n.partition(".")[0] == each.stem]:
                del sys.modules[name]


def _no_job(path: Path, module: types.ModuleType) -> NoReturn:
    found = getattr(module, "job", None)
    if found is None:
        others = [name for name, value in vars(module).items() if isinstance(value, Job)]
        what = f"{path} defines no `job`"
        help = f"call it job: job = {others[0]}" if others else "write job = gdist.Job(model=..., loss=..., data=...)"
    elif callable(found):
        what, help = f"`job` in {path} is a {type(found).__name__}, not a Job", "write job = Job(...), or call it: job = job()"
    else:
        what, help = f"`job` in {path} is a {type(found).__name__}, not a Job", "write job = gdist.Job(...)"
    raise JobError(what, where=str(path), help=help)


def _syntax(path: Path, error: SyntaxError) -> NoReturn:
    source = (error.text or "").strip()
    where = f"{_short(error.filename or str(path))}:{error.lineno}" + (f":  {source}" if source else "")
    raise JobError(f"{_short(error.filename or str(path))} is not valid Python: {error.msg}", where=where) from None


def _failed(path: Path, error: BaseException, file: str) -> NoReturn:
    what = f"{path} failed while it was loaded"
    help = None
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        help = f"is {module} installed here? pip install {_PACKAGES.get(module, module)}"
    if isinstance(error, SystemExit):
        what, help = f"{path} ended the program while it was loaded", "a job file only defines `job`; take the exit out"
    note = f"{type(error).__name__}: {error}".rstrip(": ")
    raise JobError(what, where=_place(error, file), note=note, help=help) from error


def _place(error: BaseException, file: str) -> str | None:
    """The deepest line of the user's: neither gdist's nor a library's."""
    libraries = (_GDIST, sys.base_prefix + os.sep, sys.prefix + os.sep)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = os.path.abspath(frame.filename)
        if path == file or not (path.startswith(libraries) or frame.filename.startswith("<")):
            return line_of_code(frame.filename, frame.lineno or 0, frame.name)
    return None


def _short(file: str) -> str:
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else relative
