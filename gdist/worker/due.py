"""When a regular checkpoint is due: as often as the job says, and soon again after one that failed, up to a bound."""

from __future__ import annotations

import math
import time

from gdist.errors import CheckpointError
from gdist.job.every import Every

_FIRST_RETRY_S, _LATER_RETRIES_S = 2.0, 60.0  # twice as long after each failure


class Due:
    """``patience_s``: for which checkpoints may fail; None: for ever. Asked and told by the worker that leads; its clock
    counts, and the others follow its wish."""

    def __init__(self, every: Every, patience_s: float | None) -> None:
        self._every, self._patience_s = every, patience_s
        self._comes = False
        self._failures, self._failing_since = 0, 0.0
        self._saved_at, self._retry_at = time.monotonic(), math.inf

    def after(self, step: int, *, steps_per_epoch: int) -> bool:
        """Whether one should follow the step that makes ``step`` of them; stays so until ``saved``."""
        now, wanted = time.monotonic(), self._every
        if wanted.seconds is not None:
            comes = now - self._saved_at >= wanted.seconds
        else:
            comes = step % (wanted.steps or (wanted.epochs or 1) * steps_per_epoch) == 0
        self._comes = self._comes or comes or now >= self._retry_at
        return self._comes and (not self._failures or now >= self._retry_at)

    def saved(self) -> None:
        """One is under way."""
        self._comes, self._saved_at, self._retry_at = False, time.monotonic(), math.inf

    def written(self) -> None:
        self._failures, self._retry_at = 0, math.inf

    def failed(self) -> float:
        """Returns in how many seconds it is tried again."""
        now = time.monotonic()
        self._failing_since = now if not self._failures else self._failing_since
        pause = min(_LATER_RETRIES_S, _FIRST_RETRY_S * 2.0 ** min(self._failures, 10))
        self._failures, self._retry_at = self._failures + 1, now + pause
        return pause

    def require_patience(self, error: CheckpointError) -> None:
        """Raises CheckpointError where they have failed for too long, the last one with ``error``."""
        if self._patience_s is not None and time.monotonic() - self._failing_since > self._patience_s:
            what = f"no checkpoint could be written for {self._patience_s:g} s: {error.what}"
            raise CheckpointError(what, where=error.where, note=error.note, help="mend that, and go on: gdist resume RUN")
