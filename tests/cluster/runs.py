"""Runs for tests: in this process, or with a driver of their own that can be killed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdist.cluster.driver import train_on_ray
from gdist.records import Interrupt, Order, Update

_DRIVER = """
import json, sys
from gdist.cluster.driver import train_on_ray
from gdist.records import Interrupt, Order

def watch(update):
    for event in update.events:
        print(json.dumps(event), flush=True)

order = Order(job_file=sys.argv[1], runs_root=sys.argv[2])
address = sys.argv[3] if len(sys.argv) > 3 else None
train_on_ray(order, workers=2, address=address, watch=watch, interrupt=Interrupt())
"""


@dataclass
class Seen:
    """What a driver was told. ``on``: what a test does when an event of that name arrives."""

    on: dict[str, Callable[[Seen], None]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    output: list[tuple[int, str]] = field(default_factory=list)
    interrupt: Interrupt = field(default_factory=Interrupt)

    def __call__(self, update: Update) -> None:
        self.lines += update.lines
        self.output += [(update.worker, line) for line in update.output]
        for event in update.events:
            self.events.append(event)
            if event["event"] in self.on:
                self.on[event["event"]](self)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    @property
    def run_dir(self) -> Path:
        return Path(self.named("started")[0]["run_dir"])

    def control(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.run_dir / "control.json").read_text())
        return content

    def result(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.run_dir / "result.json").read_text())
        return content

    def checkpoints(self) -> list[str]:
        return sorted(path.name for path in (self.run_dir / "checkpoints").glob("step-*"))


def train(
    job_file: str, folder: Path, seen: Seen, *, address: str | None, workers: int | None = 2, overrides: tuple[str, ...] = ()
) -> dict[str, Any]:
    order = Order(job_file=job_file, runs_root=str(folder / "runs"), overrides=overrides)
    return train_on_ray(order, workers=workers, address=address, watch=seen, interrupt=seen.interrupt)


@contextlib.contextmanager
def started_driver(
    job_file: str, folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A driver in a process of its own, killed at the end; its events come as JSON lines on its output."""
    command = [sys.executable, "-c", _DRIVER, job_file, str(folder / "runs"), *arguments]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def until_event(driver: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """The next event of that name; the test's own timeout bounds the wait."""
    assert driver.stdout is not None
    for line in driver.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name:
            return event
    assert driver.stderr is not None
    raise AssertionError(f"the driver ended without `{name}`: {driver.stderr.read()}")
