"""Runs with a Ray of their own: quiet, on loopback, and gone with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gdist.cluster import reaper
from gdist.run.checkpoint import list_checkpoints
from gdist.run.folder import RunFolder
from tests.cluster import job_files
from tests.cluster.conftest import until_empty
from tests.cluster.runs import started_driver, until_event

LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a user who has never used Ray: no token, no cluster named."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(tmp_path / "home")}


def test_a_killed_driver_takes_all_of_its_ray_along(tmp_path: Path, environment: dict[str, str]) -> None:
    job = job_files.regression(tmp_path, fields=job_files.ENDLESS)
    with started_driver(job, tmp_path, environment=environment) as driver:
        until_event(driver, "first_step")
        family = {pid: reaper.birth(pid) for pid in reaper.descendants(driver.pid)}
        assert {"raylet", "gcs_server"} <= {name(pid) for pid in family}
        assert listening_elsewhere(set(family)) == []
    assert until_empty(lambda: [f"{pid} {name(pid)}" for pid, born in family.items() if reaper.birth(pid) == born]) == []


def test_a_finished_run_leaves_no_process_and_no_word_of_ray(tmp_path: Path, environment: dict[str, str]) -> None:
    job = job_files.regression(tmp_path, fields="micro_batches=4, epochs=1")
    script = f"""
import os
from gdist.cluster import reaper
from gdist.cluster.driver import train_on_ray
from gdist.records import Interrupt, Order
order = Order(job_file={job!r}, runs_root={str(tmp_path / "runs")!r})
result = train_on_ray(order, workers=None, address=None, watch=lambda _: None, interrupt=Interrupt())
print(result["status"], result["workers"], reaper.descendants(os.getpid()))
"""
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=100)
    assert ended.stderr == ""
    assert ended.stdout == "done 2 []\n"


@pytest.mark.parametrize("end", ["sigterm to all", "raylet", "gcs_server"])
def test_a_run_whose_own_ray_ends_says_so_and_keeps_a_checkpoint(end: str, tmp_path: Path, environment: dict[str, str]) -> None:
    fields = job_files.ENDLESS.replace("checkpoint_every=10**9", "checkpoint_every=20")
    job = job_files.regression(tmp_path, fields=fields)
    command = [sys.executable, "-m", "gdist", "train", job, "--workers", "2", "--json", "--run-dir", str(tmp_path / "run")]
    folder = RunFolder(tmp_path / "run")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout is not None
            next(line for line in driver.stdout if '"checkpoint"' in line)
            family = [driver.pid, *reaper.descendants(driver.pid)]
            for pid in family:
                if end == "sigterm to all":
                    os.kill(pid, signal.SIGTERM)
                elif name(pid) == end:
                    os.kill(pid, signal.SIGKILL)
            driver.communicate(timeout=40)  # Ray itself takes 60 s to see it
        finally:
            driver.kill()
    assert driver.returncode == (1 if end == "raylet" else 3)
    result, checkpoints = folder.result(), list_checkpoints(folder.checkpoints)
    assert result is not None
    assert checkpoints
    assert result["status"] == ("failed" if end == "raylet" else "stopped")
    assert end == "raylet" or max(each.step for each in checkpoints) == result["steps"]
    assert "SIGTERM" in result["reason"] or end in result["reason"]


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def listening_elsewhere(pids: set[int]) -> list[str]:
    """TCP sockets of ``pids`` that listen on another address than loopback, as the kernel writes them."""
    listening = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":  # LISTEN
                listening[fields[9]] = fields[1]
    owned = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if target.startswith("socket:["):
                owned.add(target[8:-1])
    return [address for inode, address in listening.items() if inode in owned and address.partition(":")[0] not in LOOPBACK]
