"""The cause of a death: what the kernel says, or nothing invented."""

from __future__ import annotations

import os
import select
import signal
import subprocess

import pytest

from gdist.cluster import death
from gdist.cluster.verdict import worker_lost

FACTS = {"pid": 7, "host": "a", "cause": "killed by SIGKILL", "phase": "step", "step": 3, "seconds_ago": 0.25, "last_lines": []}


def test_the_kernel_tells_how_a_process_of_somebody_else_ended() -> None:
    process = subprocess.Popen(["sleep", "60"])
    pidfd = death.open_process(process.pid, death.start_time(process.pid))
    assert pidfd is not None
    process.send_signal(signal.SIGSEGV)
    select.select([pidfd], [], [])
    process.wait()
    status = death.exit_status(pidfd)
    os.close(pidfd)
    if status is None:
        pytest.skip("the kernel is older than 6.15 and does not tell")
    assert death.cause(status, oom_before=0, oom_now=0, last_lines=[]) == "killed by SIGSEGV"


def test_a_pid_that_was_given_to_another_process_is_not_taken_for_the_first() -> None:
    assert death.open_process(os.getpid(), 1) is None


@pytest.mark.parametrize(
    ("status", "oom", "lines", "said"),
    [
        (signal.SIGKILL, 1, [], "killed by the kernel: out of memory"),
        (signal.SIGKILL, 0, [], "killed by SIGKILL"),
        (3 << 8, 0, [], "exited with code 3"),
        (None, 0, ["Fatal Python error: Segmentation fault"], "crashed: Segmentation fault"),
        (None, 0, ["all is well"], "died without a word"),
    ],
)
def test_a_cause_is_one_phrase(status: int | None, oom: int, lines: list[str], said: str) -> None:
    assert death.cause(status, oom_before=0, oom_now=oom, last_lines=lines) == said


def test_the_error_says_where_the_worker_was_and_its_last_words() -> None:
    assert str(worker_lost(1, {**FACTS, "last_lines": ["loading", "Fatal Python error: Aborted", "", "Stack:"]})) == (
        "worker 1 was lost: killed by SIGKILL\n  --> pid 7 on a\n"
        "note: last seen in step at step 3, 0.2 s before; its last lines:\n    Fatal Python error: Aborted\n    Stack:\n"
        "help: go on from the last good step: gdist resume RUN"
    )
