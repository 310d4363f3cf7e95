"""What ``gdist`` tells its shell: the same for every verb. (2, 1 and 5 stand with the errors that they belong to.)"""

from __future__ import annotations

from gdist.errors import GdistError, JobError, UserCodeError

DONE = 0
STOPPED = 3  # before its end, by somebody, with a checkpoint
INTERRUPTED = 130  # at once


def exit_code(error: GdistError, *, began: bool) -> int:
    """The error's own; but an exception in the job's code before the run ``began`` means that the job is wrong."""
    return JobError.exit_code if isinstance(error, UserCodeError) and not began else error.exit_code
