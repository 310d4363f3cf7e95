"""Writes checkpoints in a thread, while training goes on: a step waits only for the copy of the state in memory.

At most one checkpoint is being written and one waits. A newer one takes the place of a waiting one without a name, whose
step it supersedes; nothing is lost by that but an intermediate. A failure (full disk, folder read-only) is kept in
``last_error`` and in ``reports()``, and does not stop anything: the next checkpoint tries again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.errors import CheckpointError, DeadlineExceeded
from gdist.run.checkpoint import list_checkpoints, remove_checkpoint, remove_leftovers, write_checkpoint

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Report:
    """One checkpoint's outcome: ``path`` if it is durable, ``error`` if it failed, neither if a newer one superseded it."""

    step: int
    name: str | None
    path: Path | None = None
    bytes: int = 0
    seconds: float = 0.0  # of writing, in the thread
    copy_seconds: float = 0.0  # for which training waited
    error: CheckpointError | None = None


@dataclass(eq=False)  # a task is itself: comparing tensors says nothing
class _Task:
    step: int
    files: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    name: str | None
    copy_seconds: float


class CheckpointWriter:
    """The one writer of a checkpoints folder.

    ``keep``: how many unnamed checkpoints stay. Of each name only the newest stays.
    """

    def __init__(self, folder: Path, *, keep: int = 3) -> None:
        self.folder = folder
        self.keep = max(1, keep)
        self.last_error: CheckpointError | None = None  # None again after one that succeeded
        self._change = threading.Condition()
        self._waiting: list[_Task] = []
        self._busy = False
        self._closed = False
        self._reports: list[Report] = []
        self._thread: threading.Thread | None = None
        remove_leftovers(folder)

    def save(
        self,
        step: int,
        *,
        files: Mapping[str, Mapping[str, Tensor]],
        state: dict[str, Any],
        name: str | None = None,
        wait: bool = False,
    ) -> None:
        """Copies the tensors now and writes them soon. ``files``: file name without suffix -> tensors by name.

        ``state`` is JSON and must not change afterwards. ``wait=True`` returns when it is durable, and raises
        CheckpointError if it is not.
        """
        begun = time.perf_counter()
        copies = _copies(files)
        task = _Task(step, copies, state, name, time.perf_counter() - begun)
        with self._change:
            if self._closed:
                raise CheckpointError(f"the checkpoint of step {step} came after the writer was closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gdist-checkpoints", daemon=True)
                self._thread.start()
            for old in [old for old in self._waiting if old.name == name]:
                self._waiting.remove(old)
                self._reports.append(Report(step=old.step, name=old.name, copy_seconds=old.copy_seconds))
            self._waiting.append(task)
            self._change.notify_all()
        if wait:
            self.flush(timeout=None)
            if self.last_error is not None:
                raise self.last_error

    def flush(self, timeout: float | None = 60.0) -> None:
        """Waits until nothing is being written and nothing waits. Raises DeadlineExceeded after ``timeout`` seconds."""
        with self._change:
            if not self._change.wait_for(lambda: not self._busy and not self._waiting, timeout):
                what = f"a checkpoint is still being written after {timeout:g} s"
                raise DeadlineExceeded(
                    what, where=str(self.folder), help="the disk is slow or away; the older checkpoints are good"
                )

    def reports(self) -> list[Report]:
        """What became of the checkpoints since the last call."""
        with self._change:
            reports, self._reports = self._reports, []
        return reports

    def close(self, timeout: float | None = 60.0) -> None:
        """Writes what waits, then ends the thread. Raises DeadlineExceeded after ``timeout`` seconds."""
        try:
            self.flush(timeout)
        finally:
            with self._change:
                self._closed = True
                self._change.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                task = self._waiting.pop(0)
                self._busy = True
            report = self._write(task)
            with self._change:
                self.last_error = report.error
                self._reports.append(report)
                self._busy = False
                self._change.notify_all()

    def _write(self, task: _Task) -> Report:
        begun = time.perf_counter()
        common: dict[str, Any] = {"step": task.step, "name": task.name, "copy_seconds": task.copy_seconds}
        try:
            path = write_checkpoint(self.folder, task.step, files=task.files, state=task.state, name=task.name)
        except CheckpointError as error:
            return Report(**common, error=error, seconds=time.perf_counter() - begun)
        except Exception as error:  # the thread's edge: whatever it is, training hears of it and goes on
            failure = CheckpointError(f"the checkpoint of step {task.step} failed: {error!r}", where=str(self.folder))
            return Report(**common, error=failure, seconds=time.perf_counter() - begun)
        size = sum(file.stat().st_size for file in path.iterdir())
        seconds = time.perf_counter() - begun
        self._remove_older(task.name, path)
        return Report(**common, path=path, bytes=size, seconds=seconds)

    def _remove_older(self, name: str | None, newest: Path) -> None:
        """Called when ``newest`` is durable. A run that went back keeps what it wrote last, not what has the highest step."""
        alike = [place for place in list_checkpoints(self.folder) if place.name == name]
        alike.sort(key=lambda place: (place.path / "manifest.json").stat().st_mtime_ns)
        surplus = alike[: -(self.keep if name is None else 1)]
        for place in surplus:
            if place.path != newest:
                remove_checkpoint(place.path)


def _copies(files: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """CPU copies in fresh memory; names that share memory share the copy, over the files too."""
    copied: dict[Any, Tensor] = {}
    result: dict[str, dict[str, Tensor]] = {}
    for file, tensors in files.items():
        result[file] = {}
        for name, tensor in tensors.items():
            tensor = tensor.detach()
            key = (
                (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
                if tensor.numel()
                else id(tensor)
            )
            if key not in copied:
                copied[key] = tensor.cpu().contiguous() if tensor.device.type != "cpu" else _clone(tensor)
            result[file][name] = copied[key]
    return result


def _clone(tensor: Tensor) -> Tensor:
    import torch

    return tensor.clone(memory_format=torch.contiguous_format)
