"""Every error that gdist raises on purpose, and what the caller can do about it.

    GdistError                  what happened, where, why, and the mend; ``exit_code`` for the command line
    ├── UsageError              the command is wrong; nothing was started                    (exit 2)
    ├── JobError                the job file or one of its fields is wrong                   (exit 2)
    │   └── DataError           the data is not what the job says                            (exit 2)
    ├── RunNotFound             no such run, or its cluster is out of reach                  (exit 5)
    ├── RunFailed               the run ended before its end                                 (exit 1)
    │   ├── UserCodeError       an exception in the user's model, loss, data or callback
    │   ├── PeerLost            a collective failed: another worker is gone
    │   │   └── Superseded      a generation that formed is not wanted any more: another takes its place
    │   ├── WorkerLost          a worker died; names it and, as far as known, the cause
    │   ├── NonFinite           loss or gradient is NaN or infinite and the job says stop
    │   ├── ReplicasDiffer      the workers' weights or plans are no longer the same bits
    │   └── DeadlineExceeded    something was waited for, and did not come
    └── CheckpointError         a checkpoint cannot be written, read or trusted              (exit 1)

A message has four parts, printed in this order:
``error: what`` / ``--> where`` / ``note: circumstances`` / ``help: the mend``.
"""

from __future__ import annotations

from typing import Any


class GdistError(Exception):
    """Base of all: four parts that survive a trip between processes as JSON."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, note: str | None = None, help: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.note = note
        self.help = help

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  --> {self.where}")
        if self.note:
            lines.append(f"note: {self.note}")
        if self.help:
            lines.append(f"help: {self.help}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return (from_dict, (self.to_dict(),))

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON: its class's name and its parts."""
        return {"error": type(self).__name__, **{k: v for k, v in vars(self).items() if v is not None}}


class UsageError(GdistError):
    exit_code = 2


class JobError(GdistError):
    exit_code = 2


class DataError(JobError):
    """``sample``: the number within its batch of a sample that is to blame, until it is known where that lies."""

    def __init__(self, what: str, *, sample: int | None = None, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.sample = sample


class RunNotFound(GdistError):
    exit_code = 5


class RunFailed(GdistError):
    pass


class UserCodeError(RunFailed):
    """``traceback`` is the user's own traceback as text, gdist's and the libraries' frames taken out;
    ``full_traceback`` has every frame."""

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        note: str | None = None,
        help: str | None = None,
        traceback: str | None = None,
        full_traceback: str | None = None,
    ) -> None:
        super().__init__(what, where=where, note=note, help=help)
        self.traceback = traceback
        self.full_traceback = full_traceback


class PeerLost(RunFailed):
    pass


class Superseded(PeerLost):
    pass


class WorkerLost(RunFailed):
    pass


class NonFinite(RunFailed):
    pass


class ReplicasDiffer(RunFailed):
    pass


class DeadlineExceeded(RunFailed):
    pass


class CheckpointError(GdistError):
    pass


def from_dict(parts: dict[str, Any]) -> GdistError:
    """The error that ``to_dict`` described; an unknown name becomes a plain GdistError."""
    parts = dict(parts)
    kind = _BY_NAME.get(parts.pop("error", ""), GdistError)
    return kind(parts.pop("what", "unknown error"), **parts)


def _tree(kind: type[GdistError]) -> list[type[GdistError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _tree(child))]


_BY_NAME = {kind.__name__: kind for kind in _tree(GdistError)}
