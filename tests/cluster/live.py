"""A run on Ray that a test disturbs while it trains, on the events that it says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gdist.api import audit
from gdist.cluster.driver import train_on_ray
from gdist.records import Order
from gdist.run.history import that_count
from tests.cluster.runs import Seen

WAIT_S = 90.0
Event = dict[str, Any]
Script = Callable[["Live"], None]


class Live:
    """``train`` runs ``script`` on a thread from the first step on; when it is done the run is asked to stop."""

    def __init__(self, job: str, folder: Path, address: str | None) -> None:
        self.job = job
        self.result: dict[str, Any] = {}
        self._folder = folder
        self._address = address
        self._changed = threading.Condition()
        self._answered = 0  # events that ``until`` has seen
        self._over = False
        self.seen = Seen()

    def train(self, script: Script, *, workers: Any) -> None:
        failed: list[BaseException] = []

        def act() -> None:
            self._answered = len(self.seen.events)
            try:
                script(self)
            except BaseException as error:
                failed.append(error)
            finally:
                self.seen.interrupt.stop.set()

        actor = threading.Thread(target=act)
        self.seen.on["first_step"] = lambda _: actor.start()

        def watch(update: Any) -> None:
            with self._changed:
                self.seen(update)
                self._changed.notify_all()

        order = Order(job_file=self.job, runs_root=str(self._folder / "runs"))
        try:
            self.result = train_on_ray(
                order, workers=workers, address=self._address, watch=watch, interrupt=self.seen.interrupt
            )
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            if actor.ident is not None:
                actor.join(WAIT_S)
            if failed:
                raise failed[0]

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event that is ``wanted``, past the one that was awaited last."""

        def found() -> bool:
            while self._answered < len(self.seen.events):
                self._answered += 1
                if wanted(self.seen.events[self._answered - 1]):
                    return True
            return self._over

        with self._changed:
            assert self._changed.wait_for(found, WAIT_S), f"it did not come; the last events: {self.seen.events[-5:]}"
            assert not self._over, f"the run ended before; the last events: {self.seen.events[-5:]}"
            return self.seen.events[self._answered - 1]

    def until_workers(self, count: int) -> Event:
        return self.until(lambda event: event["event"] == "generation" and event["workers"] == count)

    def until_over(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._over, WAIT_S)

    def steps(self, count: int) -> None:
        """So many more steps are written."""
        with self._changed:
            last = self._last_step()
            assert self._changed.wait_for(lambda: self._over or self._last_step() >= last + count, WAIT_S)

    def _last_step(self) -> int:
        return max((line["step"] for line in self.seen.lines), default=0)

    @property
    def run_dir(self) -> Path:
        return self.seen.run_dir

    def pid_of(self, slot: int) -> int:
        return int(self.seen.control()["workers"][str(slot)]["pid"])

    @property
    def redone(self) -> list[dict[str, Any]]:
        """The later lines of steps that were done again."""
        seen: set[int] = set()
        return [line for line in self._steps() if line["step"] in seen or seen.add(line["step"])]  # type: ignore[func-returns-value]

    def prove(self) -> None:
        """Nothing lost, nothing twice, in what the run wrote."""
        assert self.result["status"] == "stopped"
        steps = [line["step"] for line in that_count(self._steps())]
        assert steps == list(range(1, self.result["steps"] + 1))
        found = audit(self.run_dir)
        assert (found["proved"], found["lost"], found["doubled"], found["steps"]) == (True, 0, 0, self.result["steps"])
        generations = [event["generation"] for event in self._lines("events.jsonl") if event["event"] == "generation"]
        assert generations == sorted(set(generations))

    def _steps(self) -> list[dict[str, Any]]:
        return [line for line in self._lines("metrics.jsonl") if line["kind"] == "step"]

    def _lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.run_dir / name).read_text().splitlines()]
