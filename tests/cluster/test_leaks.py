"""Two hundred generations under Ray leave the processes as they were: descriptors, threads, memory, files."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest

from gdist.cluster.reach import reach
from tests.cluster import job_files
from tests.cluster.conftest import Head, family, title_of
from tests.cluster.live import Live

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600), pytest.mark.usefixtures("nothing_left")]

GENERATIONS = 200
WARM = 20  # generations, after which nothing may grow any more
GROWN_KB = 10 * 1024


def figures(pid: int) -> dict[str, int]:
    """Descriptors, threads and resident memory (kB) of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
        "kilobytes": int(status["VmRSS"].split()[0]),
    }


def ours(head: Head) -> dict[str, int]:
    """The processes whose lives are as long as the run's, by title."""
    return {title_of(pid): pid for pid in family(head.pids) if title_of(pid).endswith(("Controller", "NodeAgent"))}


def test_two_hundred_generations_leave_nothing_behind(head: Head, tmp_path: Path) -> None:
    from gdist.cluster.attach import AttachedRay

    found: dict[str, list[dict[str, int]]] = {}
    shared: list[int] = []

    def look(live: Live, survivor: int) -> None:
        gc.collect()
        for title, pid in {**ours(head), "survivor": survivor}.items():
            found.setdefault(title, []).append(figures(pid))
        shared.append(len(os.listdir("/dev/shm")))

    def script(live: Live) -> None:
        survivor = live.pid_of(0)
        with reach(live.run_dir) as controller:
            for change in range(GENERATIONS // 2):
                if change % 10 == 9:
                    os.kill(live.pid_of(1), signal.SIGKILL)  # hired again, since two are wanted
                else:
                    controller.scale(1, 1)
                    live.until_workers(1)
                    controller.scale(2, 2)
                live.until_workers(2)
                if change in (WARM // 2, GENERATIONS // 2 - 1):
                    live.steps(2)
                    look(live, survivor)

    session = AttachedRay(head.address)
    try:
        live = Live(job_files.regression(tmp_path, fields=job_files.ENDLESS), tmp_path, head.address)
        live.train(script, workers=2)
    finally:
        session.close()
    live.prove()
    assert live.seen.named("generation")[-1]["generation"] >= GENERATIONS
    for title, (before, after) in found.items():
        assert after["descriptors"] <= before["descriptors"] + 4, (title, before, after)
        assert after["threads"] <= before["threads"] + 2, (title, before, after)
        assert after["kilobytes"] <= before["kilobytes"] + GROWN_KB, (title, before, after)
    assert shared[1] <= shared[0] + 2
