"""Starts a contender's processes as torchrun would (the same environment, without its agent), and waits for all of them.

Each worker gets one thread. A process that fails, or a run that takes longer than LIMIT_S, ends the others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMIT_S = 240


class Failed(Exception):
    """A contender that did not finish; the message ends with its last lines."""


def run(
    command: list[str],
    *,
    ranks: int | None,
    env: dict[str, str],
    read: Callable[[Path], dict[str, Any]] = lambda result: json.loads(result.read_text()),
) -> dict[str, Any]:
    """Runs ``command`` with ``{result}`` replaced by a file's path; what it wrote there, by ``read``, and ``started_at``.

    ``ranks``: how many processes to start with torchrun's variables; None: one process that starts its own workers. Raises
    Failed where there is no result; with one its time is known, and a crash while it left (of DDP's threads) does not matter.
    """
    with tempfile.TemporaryDirectory() as folder:
        result, log = Path(folder, "result.json"), Path(folder, "log")
        command = [part.replace("{result}", str(result)) for part in command]
        shared = environment() | {"BENCH_RESULT": str(result)}
        port = _free_port()
        places = [_place(rank, ranks, port=port) for rank in range(ranks)] if ranks else [{}]
        started_at = time.time()
        with log.open("wb") as output:
            processes = [
                subprocess.Popen(
                    [sys.executable, *command],
                    env=shared | place | env,
                    cwd=folder,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                for place in places
            ]
            try:
                _wait(processes, deadline=time.monotonic() + LIMIT_S)
            finally:
                for process in processes:
                    end(process)
        try:
            return read(result) | {"started_at": started_at}
        except (OSError, ValueError) as error:
            raise Failed(" ".join(command) + "\n" + log.read_text(errors="replace")[-2000:]) from error


def environment() -> dict[str, str]:
    """One thread a process, and the gdist that lies beside these files, whichever is installed."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HERE}:{HERE.parent}"}


def _place(rank: int, size: int, *, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "GROUP_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "benchmark",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _wait(processes: list[subprocess.Popen[bytes]], *, deadline: float) -> None:
    """Until all have ended, one has failed, or the deadline."""
    while time.monotonic() < deadline:
        codes = [process.poll() for process in processes]
        if None not in codes or any(codes):
            return
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its session: a driver's children as well."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """For argparse: several of ``known``, parted by commas."""
    among = list(known)

    def parsed(text: str) -> list[str]:
        wrong = [name for name in text.split(",") if name not in among]
        if wrong:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: not among {', '.join(among)}")
        return text.split(",")

    return parsed
