"""Runs of real processes whose workers die, leave and join, without Ray: a small controller around pipes.

run = Live("plain", tmp_path, workers=2, faults={1: "before_reduce:kill:step=5"})
run.train()                       to the end; ``run.result``, ``run.error``, ``run.lines``, ``run.events``, ``run.folder``
"""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import secrets
import signal
import time
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any

from gdist.errors import GdistError, from_dict
from gdist.records import Membership, Update
from gdist.run.folder import RunFolder

DEADLINE_S = 60.0
_PRELOAD = ["tests.worker.live_worker", "gdist.worker.taking_up", "torch._dynamo", "torchmetrics", "safetensors.torch"]


@functools.cache
def context() -> Any:
    """Processes are forked from one that has imported all they need."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(_PRELOAD)
    return found


@dataclass(eq=False)  # a worker is itself
class Worker:
    slot: int
    incarnation: int
    process: Any
    pipe: Any
    state: str = "preparing"  # ready, joining, training, broken, returned, left, failed, dead
    step: int | None = None
    hello: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None

    @property
    def who(self) -> tuple[int, int]:
        return self.slot, self.incarnation

    @property
    def lives(self) -> bool:
        return self.state != "dead"


class Live:
    """``faults``: for the first worker of a slot; ``hires``: a lost worker is replaced; ``gate``: the step at which the run
    waits for ``open``; ``asked``: of the Order."""

    def __init__(
        self,
        job: str,
        folder: Path,
        *overrides: str,
        workers: int = 2,
        faults: dict[int, str] | None = None,
        hires: bool = False,
        gate: int | None = None,
        **asked: Any,
    ) -> None:
        self.job, self.overrides, self.asked, self.hires = job, overrides, asked, hires
        self.folder = (
            RunFolder.create(name=job, run_dir=folder / "run") if not asked.get("resume") else RunFolder(folder / "run")
        )
        self._flags = folder / "flags"
        self._flags.mkdir(exist_ok=True)
        self.reached, self._gate_open = context().Event(), context().Event()
        self._gate = (gate, self._gate_open, self.reached) if gate is not None else None
        self.workers: list[Worker] = []
        self.members: list[Worker] = []
        self.generation = self.folder.last_generation()
        self.lines: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.result: dict[str, Any] | None = None
        self.error: GdistError | None = None
        self.formed: list[list[int]] = []
        self._written: dict[str, int] = {}
        self._planned: list[Worker] | None = None  # of the next generation, on the way there
        for slot in range(workers):
            self.start(slot, (faults or {}).get(slot, ""))

    def train(self) -> Live:
        """To the run's end."""
        self.until(lambda: self.over, "the run's end")
        self.close()
        assert not self.silent(), f"these faults never fired: {self.silent()}"
        return self

    @property
    def over(self) -> bool:
        return self.result is not None or self.error is not None

    def start(self, slot: int, faults: str = "") -> Worker:
        """Hires a worker; it joins nothing by itself."""
        incarnation = sum(worker.slot == slot for worker in self.workers) + 1
        marked = [
            f"{each}:flag={self._flags}/{slot}-{incarnation}-{n}" for n, each in enumerate(filter(None, faults.split(";")))
        ]
        self._expected = [*getattr(self, "_expected", []), *(each.rpartition("flag=")[2] for each in marked)]
        ours, theirs = context().Pipe()
        from tests.worker.live_worker import live

        process = context().Process(
            target=live,
            args=(theirs, slot, incarnation, self.job, self.overrides, self.asked, ";".join(marked), self._gate),
            daemon=True,
        )
        process.start()
        theirs.close()
        worker = Worker(slot, incarnation, process, ours)
        self.workers.append(worker)
        _alive.append(process)
        return worker

    def silent(self) -> list[str]:
        """The faults that have not fired."""
        return [flag for flag in self._expected if not os.path.exists(flag)]

    def fired(self) -> bool:
        return not self.silent()

    def open(self) -> None:
        self._gate_open.set()

    def kill(self, *slots: int, sign: int = signal.SIGKILL) -> None:
        for worker in self.workers:
            if worker.lives and worker.slot in slots:
                os.kill(worker.process.pid, sign)

    def wish(self, wish: str) -> None:
        for worker in self.members:
            _tell(worker, "wish", wish)

    def change(self, *slots: int) -> None:
        """The members of the next generation, by rank: planned, at the next boundary."""
        wanted = [next(w for w in reversed(self.workers) if w.slot == slot and w.lives) for slot in slots]
        places = self._places(
            wanted, source=wanted.index(next(w for w in wanted if w in self.members)), reason="asked to scale"
        )
        left = Membership(generation=self.generation, rank=-1, size=len(wanted))
        for worker in self.members:
            _tell(worker, "change", places.get(worker.who, left))
        for worker in wanted:
            if worker not in self.members:
                _tell(worker, "join", places[worker.who])
        self._planned = wanted

    def until(self, what: Any, words: str) -> None:
        """Attends to the workers until ``what()``."""
        ends = time.monotonic() + DEADLINE_S
        while not what():
            pipes = {worker.pipe: worker for worker in self.workers if worker.lives}
            ready = connection.wait(list(pipes), timeout=min(0.2, max(0.0, ends - time.monotonic())))
            for pipe in ready:
                self._attend(pipes[pipe])  # type: ignore[index]
            if time.monotonic() > ends:
                states = [(w.who, w.state, w.step) for w in self.workers]
                self.close()
                raise AssertionError(f"{words}: not within {DEADLINE_S:g} s; {states}, silent: {self.silent()}")

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
            worker.state = "dead"

    def _attend(self, worker: Worker) -> None:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            worker.state = "dead"
            if self.hires and not self.over:
                self.start(worker.slot)
            return self._decide()
        if kind == "update":
            return self._write(content["update"])
        if "step" in content:
            worker.step = content["step"]
        if kind == "hello":
            worker.state, worker.hello = "ready", content["hello"]
        elif kind == "failed":
            worker.state = "failed"
            self.error = self.error or from_dict(content["error"])
        elif content.get("generation", self.generation) == self.generation or kind == "left":
            worker.state = {"entered": "training"}.get(kind, kind)
            worker.result = content.get("result")
            if kind == "entered" and self._planned is not None:
                self.members, self._planned = self._planned, None
        self._decide()

    def _decide(self) -> None:
        """After each event: forms the first generation, the next one after a loss, or ends."""
        if self.over:
            return
        if not self.formed and all(w.state == "ready" for w in self.workers):
            return self._form(self.workers, None, "start")
        lost = self._planned is not None and any(not w.lives for w in self._planned)
        members = list(dict.fromkeys([*self.members, *(self._planned or [])]))
        if not self.formed or any(w.state in ("training", "joining") for w in members):
            if lost and all(w.state in ("dead", "broken", "joining", "ready") for w in members):
                self._recover(members)  # those who form wait for one that is dead
            return
        if self.members and all(w.state in ("returned", "left", "dead") for w in self.members):
            if any(w.state == "returned" for w in self.members):
                self.result = next(w.result for w in self.members if w.state == "returned")
            else:
                self._recover(members)
            return
        self._recover(members)

    def _recover(self, members: list[Worker]) -> None:
        survivors = [w for w in members if w.lives and w.state != "left"]
        survivors += [w for w in self.workers if w.lives and w not in members and w.state == "ready"]
        if survivors:
            furthest = max((w.step for w in survivors if w.step is not None), default=None)
            source = next((i for i, w in enumerate(survivors) if w.step is not None and w.step == furthest), None)
            self._form(survivors, source, "a worker was lost")

    def _form(self, workers: list[Worker], source: int | None, reason: str) -> None:
        places = self._places(workers, source=source, reason=reason)
        self.members, self._planned = list(workers), None
        for worker in workers:
            worker.state = "joining"
            _tell(worker, "join", places[worker.who])

    def _places(self, workers: list[Worker], *, source: int | None, reason: str) -> dict[tuple[int, int], Membership]:
        self.generation += 1
        self.formed.append([w.slot for w in workers])
        common: dict[str, Any] = {
            "generation": self.generation, "size": len(workers), "run_dir": str(self.folder.path), "source": source,
            "restore": source is None and self.generation > 1, "doors": tuple(tuple(w.hello["door"]) for w in workers),
            "secret": secrets.token_hex(16), "workers": tuple(w.who for w in workers), "reason": reason,
        }  # fmt: skip
        return {w.who: Membership(rank=rank, **common) for rank, w in enumerate(workers)}

    def _write(self, update: Update) -> None:
        """As the controller does: what is known of a step is not written again."""
        self.folder.append_ledger(update.ledger)
        lines = [line for line in update.lines if line["step"] > self._written.get(line["kind"], 0)]
        for line in lines:
            self._written[line["kind"]] = line["step"]
        events = [e for e in update.events if e.get("step", 10**9) > self._written.get("event " + e["event"], -1)]
        for each in events:
            if "step" in each:
                self._written["event " + each["event"]] = each["step"]
        self.folder.append_metrics(lines)
        self.folder.append_events(events)
        self.lines += lines
        self.events += events
        for worker in self.members:
            _tell(worker, "written", self._written.get("step", 0))


def _tell(worker: Worker, kind: str, content: Any) -> None:
    if worker.lives:
        try:
            worker.pipe.send((kind, content))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is dead, and its end is about to be read


_alive: list[Any] = []


@atexit.register
def _end() -> None:
    for process in _alive:
        process.kill()
