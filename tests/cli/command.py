"""``gdist`` as a user runs it, and the small job that it is run on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# The callback does at the end of step AT what DO says, so that a test decides where a run is interrupted, killed or fails.
TINY = """
import os
import signal
import time
from glob import glob

import torch
from torch import nn

from gdist import Callback, Job

print("hello from the job file")
generator = torch.Generator().manual_seed(1)
x = torch.randn(200, 8, generator=generator)
y = (x[:, 0] > 0).long()


def net(width: int = 16):
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 2))


def await_(happened):
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.001)


class At(Callback):
    def on_step_end(self, line, wishes):
        if line["step"] == int(os.environ.get("AT", 0)):
            getattr(self, os.environ["DO"])(wishes)

    def interrupt(self, wishes):
        os.kill(os.getpid(), signal.SIGINT)
        await_(wishes.bits)

    def interrupt_twice(self, wishes):
        await_(lambda: glob("runs/*/checkpoints/*/manifest.json"))
        self.interrupt(wishes)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    def terminate(self, wishes):
        os.kill(os.getpid(), signal.SIGTERM)

    def kill(self, wishes):
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(self, wishes):
        raise ValueError("a mistake of mine")

    def debug(self, wishes):
        answer = 42
        breakpoint()


job = Job(
    model=net,
    loss="cross_entropy",
    data=(x, y),
    validation=0.2,
    metrics=["accuracy"],
    batch_size=32,
    epochs=3,
    exact=True,
    checkpoint_every=4,
    callbacks=[At()],
)
"""


def write_job(folder: Path, text: str = TINY, *, name: str = "tiny.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


class Gdist:
    """Runs ``gdist WORDS`` in a folder, in a process of its own that is forked from one that has torch (``zygote.py``)."""

    def __init__(self) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.cli.zygote"]
        self._zygote = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(
        self, *words: str, cwd: Path, do: str | None = None, at: int = 0, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """``do``, ``at``: what TINY's callback does, and after which step. ``text``: what is typed."""
        streams = {name: cwd / f".{name}" for name in ("stdin", "stdout", "stderr")}
        for path in streams.values():
            path.write_text(text if path.name == ".stdin" else "")
        asked = {"words": words, "cwd": str(cwd), "env": {"DO": do or "", "AT": str(at)}}
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(asked | {name: str(path) for name, path in streams.items()}) + "\n")
        self._zygote.stdin.flush()
        code = int(self._zygote.stdout.readline())
        return subprocess.CompletedProcess(words, code, streams["stdout"].read_text(), streams["stderr"].read_text())

    def close(self) -> None:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.close()
        self._zygote.wait(10)
        self._zygote.stdout.close()


def result_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found
