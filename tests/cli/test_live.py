"""A run on a Ray of its own whose workers are scaled, killed and drained from another terminal, as a user does it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gdist.run.folder import RunFolder
from gdist.run.follow import Following
from tests.cli.command import TINY, write_job

DEADLINE_S = 90.0
pytestmark = pytest.mark.timeout(300)  # two dozen processes are started
UNTIL_ENOUGH = """
    def on_step_end(self, line, wishes):
        time.sleep(0.01)  # as long as a step of a larger model
        if os.path.exists("enough"):
            wishes.add("stop", reason="enough")
"""


class Terminal:
    """A folder in which ``gdist train`` runs, and in which other commands are given meanwhile."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        text = re.sub(r"\n    def on_step_end.*?\n\n", UNTIL_ENOUGH + "\n", TINY, count=1, flags=re.DOTALL)
        write_job(folder, text.replace("epochs=3", "epochs=100_000").replace("checkpoint_every=4", "checkpoint_every=50"))
        self.run = RunFolder(folder / "runs" / "tiny")
        self.generations: list[dict[str, Any]] = []
        self._following, self._stepped = Following(self.run, from_start=True), 0
        self.train = subprocess.Popen(
            [sys.executable, "-m", "gdist", "train", "tiny.py", "--plain", *words],
            cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def gdist(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gdist", *words]
        return subprocess.run(command, cwd=self.folder, env=_environment(), capture_output=True, text=True, timeout=DEADLINE_S)

    def await_(self, happened: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + DEADLINE_S
        while not (found := happened()):
            assert self.train.poll() is None, f"the run ended before {what}:\n{self.train.communicate()[0]}"
            assert time.monotonic() < end, f"{what} did not come"
            time.sleep(0.05)
        return found

    def generation_of(self, members: list[int], *, after: int = 0) -> dict[str, Any] | None:
        """The newest generation, once it is one of ``members`` and later than ``after``, and has taken a step."""
        news = self._following.news()
        self.generations += [each for each in news.events if each["event"] == "generation"]
        self._stepped = max([self._stepped, *(line["generation"] for line in news.lines)])
        newest = self.generations[-1] if self.generations else None
        if newest is None or newest["members"] != members or newest["generation"] <= after:
            return None
        return newest if self._stepped >= newest["generation"] else None

    def pid_of(self, slot: int) -> int:
        control = self.run.control()
        assert control is not None
        return int(control["workers"][str(slot)]["pid"])

    def end(self) -> str:
        """What the run has said, once it has been told that it is enough."""
        (self.folder / "enough").touch()
        said, _ = self.train.communicate(timeout=DEADLINE_S)
        assert self.train.returncode == 3, said
        return said


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(tmp_path, "--workers", "1")
    yield found
    if found.train.poll() is None:
        found.train.send_signal(signal.SIGTERM)
        found.train.communicate(timeout=DEADLINE_S)


def test_scale_kill_and_drain_are_told_where_they_are_asked_and_where_it_trains(terminal: Terminal) -> None:
    first = terminal.await_(lambda: terminal.generation_of([0]), "the first step")

    more = terminal.gdist("scale", "tiny", "2")
    assert more.returncode == 0, more.stderr
    asked, done = more.stdout.splitlines()
    assert asked == "tiny: asked for 2 workers; 1 worker now"
    found = re.fullmatch(r"tiny: 1 -> 2 workers: worker 1 took its first step at step (\d+); training paused 0\.\d\d s", done)
    assert found, done
    both = terminal.generation_of([0, 1])
    assert both is not None
    assert both["step"] + 1 == int(found[1])

    os.kill(terminal.pid_of(1), signal.SIGKILL)
    again = terminal.await_(lambda: terminal.generation_of([0, 1], after=both["generation"]), "the replacement")
    alone = next(each for each in terminal.generations if each["generation"] == both["generation"] + 1)
    assert (alone["members"], alone["left"]) == ([0], [1])

    drained = terminal.gdist("drain", "tiny", "worker-1", "--json")
    assert drained.returncode == 0, drained.stderr
    assert json.loads(drained.stdout)["last_steps"].keys() == {"1"}

    fewer = terminal.gdist("scale", "tiny", "1", "--json")
    assert fewer.returncode == 0, fewer.stderr
    told = json.loads(fewer.stdout)
    assert (told["settled"], told["workers"]) == (True, 1)

    said = terminal.end()
    assert "worker 1 is being prepared; training goes on meanwhile\n" in said
    assert re.search(r"\n2 workers from step \d+: worker 1 joined; paused 0\.\d\d s \(generation \d+\)\n", said)
    assert re.search(r"\nworker 1 on \S+ lost at step \d+: killed by SIGKILL\n", said)
    assert "\nworker 1 is being replaced\n" in said
    assert re.search(r"\ntraining goes on with 1 worker from step \d+; paused 0\.\d\d s \(generation \d+\)\n", said)
    assert "asked for 2 workers\n" in said
    assert re.search(r"\n  worker changes   \d, paused \d\.\d+ s in all\n", said)
    steps = [line["step"] for line in terminal.run.metrics("step")]
    assert steps == list(range(1, len(steps) + 1))
    assert first["generation"] < both["generation"] < again["generation"]
    proved = terminal.gdist("audit", "tiny", "--json")
    assert json.loads(proved.stdout)["proved"], proved.stdout


def test_the_only_worker_leaves_to_another_and_what_cannot_be_is_refused(
    terminal: Terminal,
) -> None:
    terminal.await_(lambda: terminal.generation_of([0]), "the first step")
    refused = terminal.gdist("scale", "tiny", "99")
    assert refused.returncode == 2
    assert "micro-batches: 99 workers cannot share them" in refused.stderr
    there = terminal.gdist("drain", "nowhere")
    assert there.returncode == 2
    assert "note: worker 0 on " in there.stderr

    drained = terminal.gdist("drain", "tiny", "worker-0", "--json")
    assert drained.returncode == 0, drained.stderr
    told = json.loads(drained.stdout)
    assert min(told["first_steps"].values()) <= told["last_steps"]["0"] + 1, "no step is left out between them"
    said = terminal.end()
    assert " lost" not in said
    assert terminal.gdist("scale", "tiny", "2").returncode == 2
