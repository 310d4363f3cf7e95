"""A contender that trains in processes of its own, until it is ended from here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import launch

from faulty.records import Taken, read_records
from gdist.cluster.reaper import descendants

COMMANDS = {
    "gdist": ["-m", "gdist", "train", str(launch.HERE / "faulty/job.py"), "--plain", "--run-dir", "{folder}/run", "--workers"],
    "ray_train": ["-m", "faulty.ray_train"],
    "torchrun": [
        "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "3", "--master-port", "0",
        "--rdzv-backend", "c10d", "-m", "faulty.torchrun",
    ],
}  # fmt: skip
POLL_S = 0.02
END_S = 20.0


class Subject:
    """``folder``: with the run, and ``records``, which its workers write."""

    def __init__(self, name: str, folder: Path, *, workers: int = 2, size: str = "tiny") -> None:
        self.name, self.folder, self.records = name, folder, folder / "records"
        self.log = folder / "log"
        self.records.mkdir()
        command = [part.replace("{folder}", str(folder)) for part in COMMANDS[name]]
        command += [str(workers)] if name == "gdist" else []
        env = launch.environment() | {
            "BENCH_RECORDS": str(self.records),
            "BENCH_STATE": str(folder),
            "BENCH_SIZE": size,
        }
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command], env=env, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def taken(self) -> list[Taken]:
        return read_records(self.records)

    def step(self) -> int:
        """The highest that was applied; 0: none."""
        return max((each.step for each in self.taken()), default=0)

    def workers(self) -> list[int]:
        """The pids of those that live and have taken steps."""
        return sorted(int(path.name) for path in self.records.iterdir() if Path("/proc", path.name).exists())

    def wait(self, done: Callable[[], bool], *, what: str, limit_s: float) -> bool:
        """Until ``done()``; false after ``limit_s``. Raises Failed where the contender has ended."""
        ends = time.monotonic() + limit_s
        while not done():
            if time.monotonic() > ends:
                return False
            if self.process.poll() is not None:
                raise self.failed(f"ended before {what}")
            time.sleep(POLL_S)
        return True

    def failed(self, what: str) -> launch.Failed:
        return launch.Failed(f"{self.name} {what}\n" + self.log.read_text(errors="replace")[-2000:])

    def end(self) -> None:
        """Ends it and all that it has started."""
        family = [self.process.pid, *descendants(self.process.pid)]
        for pid in family:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        ends = time.monotonic() + END_S
        while time.monotonic() < ends and any(Path("/proc", str(pid)).exists() for pid in family):
            time.sleep(POLL_S)


@contextmanager
def subject(name: str, *, workers: int = 2, size: str = "tiny") -> Iterator[Subject]:
    """A contender that trains; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-faults-", ignore_cleanup_errors=True) as folder:
        trains = Subject(name, Path(folder), workers=workers, size=size)
        try:
            yield trains
        finally:
            trains.end()
