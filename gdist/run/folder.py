"""A run's folder: its names, its readers and its writers.

    runs/digits/
    ├── job.json            the job as resolved, the overrides given, the versions it runs on
    ├── data.json           the files it trains on, and what was learned from them before the first step
    ├── source/             the job file and the local modules it imports, with hashes; what later commands load
    ├── control.json        how another terminal reaches the run
    ├── metrics.jsonl       a line per step, a line per evaluation (gdist/records.py)
    ├── events.jsonl        what happened, with wall and monotonic time
    ├── ledger.jsonl        which rows each step has read, for `gdist audit` (ledger.py)
    ├── result.json         how it ended
    ├── checkpoints/        gdist/run/checkpoint.py, unless the job names an object store for them
    ├── model.safetensors   the trained weights
    └── lock                held by the process that writes all this (lock.py)

Nothing else knows these names. JSON files are replaced whole, lines are appended whole (gdist/durable.py, lines.py).
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.durable import write_whole
from gdist.errors import RunFailed, RunNotFound, UsageError
from gdist.run.lines import append_lines, read_lines, to_json
from gdist.run.lock import LOCK, hold
from gdist.run.store import Location, below
from gdist.run.versions import versions

if TYPE_CHECKING:
    from torch import Tensor

    from gdist.run.ledger import Ledger

_MARKS = ("job.json", "events.jsonl", "control.json", "source")  # a folder with one of them is a run


class RunFolder:
    """One run's folder. Cheap to make: opens nothing until asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: int | None = None

    @classmethod
    def create(
        cls, root: str | Path = "runs", *, name: str, numbered: bool = True, run_dir: str | Path | None = None
    ) -> RunFolder:
        """Makes a new folder: ``run_dir`` itself, or ``root/name``.

        ``numbered``: the name is a default, so a second run becomes ``name-2``; else the name is the user's own, and one
        that exists is refused (UsageError), as is a ``run_dir`` with something in it. Safe against others that create
        at the same time.
        """
        if run_dir is not None:
            return cls(_claim(Path(run_dir)))
        if not name or name in (".", "..", "@", "last") or "/" in name or name.startswith("-"):
            raise UsageError(f"`{name}` cannot be a run's name", help="use letters, digits, `-`, `_` and `.`")
        for number in itertools.count(1):
            path = Path(root, name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if cls(path).never_began is not None:  # its name is free again
                    shutil.rmtree(path, ignore_errors=True)
                    return cls.create(root, name=name, numbered=numbered)
                if not numbered:
                    raise UsageError(
                        f"a run named `{name}` exists already",
                        where=str(path),
                        help=f"choose another --name, or go on with it: gdist resume {name}",
                    ) from None
            except OSError as error:
                raise _cannot_make(path, error) from error
            else:
                return cls(path)
        raise AssertionError("unreachable")

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The run in ``path``. Raises RunNotFound if that is no run's folder."""
        if not cls.is_run(Path(path)):
            raise RunNotFound(f"`{path}` is not a run's folder", help="a run's folder has a job.json; see `ls runs`")
        return cls(Path(path)).begun()

    @staticmethod
    def is_run(path: Path) -> bool:
        """Whether ``path`` holds a run."""
        return path.is_dir() and any((path / mark).exists() for mark in _MARKS)

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def begun(self) -> RunFolder:
        """Itself. Raises RunNotFound where the run failed before it began: there is nothing to go on with."""
        if self.never_began is not None:
            raise RunNotFound(
                f"the run `{self.name}` never began: {self.never_began}",
                where=str(self.path),
                help=f"mend that, and start it again: gdist train JOB --name {self.name}",
            )
        return self

    @property
    def never_began(self) -> str | None:
        """Why the run failed before its first step could be taken; None if it did not."""
        result = None if (self.path / "job.json").exists() else self.result()
        return str(result.get("reason")) if result is not None and result.get("status") == "failed" else None

    @property
    def checkpoints(self) -> Location:
        """Where the run's checkpoints lie, as its job says."""
        return self.checkpoints_of((self.job().get("job") or {}).get("checkpoints"))

    def checkpoints_of(self, url: str | None) -> Location:
        """Below an object store's URL, or in the run's own folder."""
        return self.path / "checkpoints" if url is None else below(url, self.name)

    @property
    def source(self) -> Path:
        return self.path / "source"

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    # -- writing --

    def hold(self) -> None:
        """Makes this process the one that writes the run, until ``let_go`` or its end. Raises UsageError if another does."""
        try:
            self._held = hold(self.path)
        except OSError as error:
            raise _cannot_write(self.path / LOCK, error) from error

    def let_go(self) -> None:
        """Idempotent."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def write_job(self, job: dict[str, Any], *, job_file: str | None = None, overrides: Sequence[str] = ()) -> None:
        """``job.json``: the job as resolved, the overrides it was given, where its file lay, and today's versions."""
        content = {
            "job": job,
            "job_file": job_file,
            "overrides": list(overrides),
            "versions": versions(),
            "written": time.time(),
        }
        self._write("job.json", content)

    def write_data(self, data: dict[str, Any]) -> None:
        """``data.json``: ``files`` that the run trains on, ``state``: what was learned from them, ``facts``: what a model may
        ask about them."""
        self._write("data.json", data)

    def write_control(self, control: dict[str, Any]) -> None:
        self._write("control.json", control)

    def write_result(self, result: dict[str, Any]) -> None:
        self._write("result.json", result)

    def remove_result(self) -> None:
        """A run that goes on has not ended: should it be killed, the former end must not be taken for this one's."""
        (self.path / "result.json").unlink(missing_ok=True)

    def append_metrics(self, lines: Iterable[dict[str, Any]]) -> None:
        """Appends step and evaluation lines to ``metrics.jsonl``."""
        self._append("metrics.jsonl", lines)

    def append_events(self, events: Iterable[dict[str, Any]]) -> None:
        """Appends events to ``events.jsonl``."""
        self._append("events.jsonl", events)

    def append_ledger(self, lines: Iterable[dict[str, Any]]) -> None:
        """Appends to ``ledger.jsonl``. Call it before ``append_metrics``: no step is known of which the ledger is silent."""
        self._append("ledger.jsonl", lines)

    def write_model(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
        """``model.safetensors``: the tensors by their names in ``state_dict()``. Returns its path."""
        from gdist.run.tensors import save_tensors

        save_tensors(self.model, tensors, metadata=metadata)
        return self.model

    def copy_source(self, job_file: str | Path) -> None:
        """Copies the job file and the local modules that are loaded now (so: after the job was loaded)."""
        from gdist.run.source import copy_source

        copy_source(Path(job_file), self.source)

    # -- reading --

    def job(self) -> dict[str, Any]:
        """``job.json`` as written; {} if the run ended before it had one."""
        return self._read("job.json") or {}

    def data(self) -> dict[str, Any]:
        """``data.json`` as written; {} if the run ended before it had one."""
        return self._read("data.json") or {}

    def control(self) -> dict[str, Any] | None:
        return self._read("control.json")

    def result(self) -> dict[str, Any] | None:
        """``result.json``; None while the run goes on, or if it was killed."""
        return self._read("result.json")

    def events(self) -> list[dict[str, Any]]:
        return list(read_lines(self.path / "events.jsonl"))

    def metrics(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The lines that count, in order of steps; ``kind``: "step" or "evaluation" lines only.

        A run that was resumed has gone back: lines past the point it went back to are left out once they are
        written anew, and of two lines for a step the one of the higher generation counts.
        """
        from gdist.run.history import that_count

        lines = that_count(read_lines(self.path / "metrics.jsonl", numbers=True))
        return [line for line in lines if kind is None or line.get("kind") == kind]

    def last_generation(self) -> int:
        """The highest generation written so far, 0 if none: a resumed run counts on from here."""
        return max((int(line.get("generation") or 0) for line in self.metrics()), default=0)

    def ledger(self) -> Ledger:
        """What the run's steps have read. Raises RunFailed where the file is damaged."""
        from gdist.run.ledger import read_ledger

        return read_ledger(self.path / "ledger.jsonl")

    def job_file(self) -> Path | None:
        """The job file in ``source/``, its hashes checked; None if the job was made in Python and has no file.

        Raises JobError, naming the file, if ``source/`` was changed since the run began.
        """
        from gdist.run.source import verified_job_file

        return verified_job_file(self.source)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        try:
            write_whole(self.path / name, (to_json(content, indent=2) + "\n").encode())
        except OSError as error:
            raise _cannot_write(self.path / name, error) from error

    def _append(self, name: str, lines: Iterable[dict[str, Any]]) -> None:
        try:
            append_lines(self.path / name, lines)
        except OSError as error:
            raise _cannot_write(self.path / name, error) from error

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RunFailed(f"{name} is not JSON: {error}", where=str(path), help="restore the file from a copy") from error
        return content if isinstance(content, dict) else None

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"


def _claim(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        empty = not any(path.iterdir())
    except OSError as error:
        raise _cannot_make(path, error) from error
    if empty:
        return path
    if RunFolder.is_run(path):
        raise UsageError("--run-dir holds a run already", where=str(path), help=f"go on with it: gdist resume {path}")
    raise UsageError("--run-dir is not empty", where=str(path), help="name a new or an empty folder")


def _cannot_make(path: Path, error: OSError) -> UsageError:
    return UsageError(f"the run's folder cannot be made: {error.strerror}", where=str(path), help="choose a place: --runs DIR")


def _cannot_write(path: Path, error: OSError) -> RunFailed:
    return RunFailed(
        f"cannot write {path.name}: {error.strerror}", where=str(path), help="free the disk or mend its permissions"
    )
