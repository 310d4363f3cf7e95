"""A Ray head of the tests' own, started as a user would, and the proof that a run left nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gdist.cluster import reaper
from gdist.cluster.scratch import scratch_path

OURS = ("WorkerActor", "Controller", "NodeAgent")
GONE_S = 15.0


@dataclass(frozen=True)
class Head:
    """``environment``: with the token, for processes that attach."""

    address: str
    pids: tuple[int, ...]
    environment: dict[str, str]

    def members(self) -> list[str]:
        """The processes of gdist's runs on it, as ``pid title``."""
        return [f"{pid} {title}" for pid in family(self.pids) if (title := title_of(pid)).endswith(OURS)]


def family(pids: tuple[int, ...]) -> list[int]:
    return [pid for root in pids for pid in (root, *reaper.descendants(root)) if reaper.birth(pid) is not None]


def title_of(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""
    return command.partition(".")[0] if command.startswith("ray::") else command


def until_empty(find: object, *, seconds: float = GONE_S) -> list[object]:
    """What ``find()`` still finds at the end of ``seconds``: [] as soon as it finds nothing."""
    deadline = time.monotonic() + seconds
    while (found := list(find())) and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """``ray start --head`` on loopback with a token of its own."""
    folder = tmp_path_factory.mktemp("ray")
    token = folder / "token"
    token.write_text("0123456789abcdef" * 4)
    token.chmod(0o600)
    kept, kept_tempdir = dict(os.environ), tempfile.tempdir
    home = Path("/tmp", f"gdist-ray-{os.getpid()}")  # Ray's sockets do not fit under pytest's long path
    home.mkdir()
    tempfile.tempdir = str(home)  # scratch folders of others' runs are none of ours
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token), RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0")
    os.environ["TMPDIR"] = str(home)
    environment = {k: v for k, v in os.environ.items() if k not in ("RAY_AUTH_MODE", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")}
    command = [
        Path(sys.executable).with_name("ray"),
        "start",
        "--head",
        "--port=0",
        "--num-cpus=2",
        "--include-dashboard=false",
    ]
    command += ["--disable-usage-stats", f"--temp-dir={home}", "--node-ip-address=127.0.0.1", "--object-store-memory=100000000"]
    started = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert started.returncode == 0, started.stdout + started.stderr
    pids = tuple(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if str(home) in _command_line(pid))
    yield Head((home / "ray_current_cluster").read_text().strip(), pids, environment)
    for pid in family(pids):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    assert until_empty(lambda: [pid for pid in pids if reaper.birth(pid) is not None]) == []
    subprocess.run(["rm", "-rf", str(home)], check=True)
    os.environ.clear()
    os.environ.update(kept)
    tempfile.tempdir = kept_tempdir


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.fixture
def nothing_left(head: Head) -> Iterator[None]:
    """After the test the head runs no process of gdist, and no scratch folder of its runs is left."""
    yield
    assert until_empty(head.members) == []
    assert until_empty(lambda: scratch_path("x").parent.glob("*")) == []
