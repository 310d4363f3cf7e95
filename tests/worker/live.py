"""Runs of real processes whose workers die, leave and join: the real state machine, pipes in the place of Ray.

run = Live("plain", tmp_path, workers=2, faults={1: "before_reduce:kill:step=5"})
run.train()                       to the end; ``run.result``, ``run.error``, ``run.lines``, ``run.events``, ``run.folder``
"""

from __future__ import annotations

import atexit
import contextlib
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

from gdist.errors import GdistError, WorkerLost, from_dict
from gdist.membership import events as ev
from gdist.membership import instructions as ins
from gdist.membership.machine import Machine
from gdist.records import Membership, Update
from gdist.run.folder import RunFolder

DEADLINE_S = 60.0
_PRELOAD = [
    "tests.worker.live_worker",
    "gdist.worker.taking_up",
    "torch._dynamo",
    "torchmetrics",
    "safetensors.torch",
    "pytest",
    "psutil",
]


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
    lives: bool = True
    hello: dict[str, Any] = field(default_factory=dict)

    @property
    def who(self) -> tuple[int, int]:
        return self.slot, self.incarnation

    def tell(self, kind: str, content: Any = None) -> None:
        if self.lives:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its end is about to be read
                self.pipe.send((kind, content))


class Live:
    """``faults``: by slot, of its first worker; ``hires``: a lost worker is replaced, and more come if the run is scaled;
    ``gate``: the step after which the run waits for ``open``; ``asked``: of the Order."""

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
        self.job, self.overrides, self.asked = job, overrides, asked
        self.folder = RunFolder.create(name=job, run_dir=folder / "run")
        self.faults, self.hires, self._first = dict(faults or {}), hires, workers
        self._flags = folder / "flags"
        self._flags.mkdir()
        self._expected: list[str] = []
        self.reached, self._gate_open = context().Event(), context().Event()
        self._gate = (gate, self._gate_open, self.reached) if gate is not None else None
        self.workers: dict[tuple[int, int], Worker] = {}
        self.lines: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.end: ins.End | None = None
        self.formed: list[ins.Form] = []
        self._written: dict[str, int] = {}
        self.machine = Machine(least=workers, most=workers, given=True, now=time.monotonic())
        self._obey(self.machine.start(now=time.monotonic()))

    @property
    def result(self) -> dict[str, Any] | None:
        return self.end.result if self.end is not None else None

    @property
    def error(self) -> GdistError | None:
        return self.end.error if self.end is not None else None

    def train(self) -> Live:
        """To the run's end."""
        self.until(lambda: self.end is not None, "the run's end")
        self.close()
        assert not self.silent(), f"these faults never fired: {self.silent()}; the run's end: {self.end}"
        return self

    def silent(self) -> list[str]:
        """The faults that have not fired."""
        return [flag for flag in self._expected if not os.path.exists(flag)]

    def open(self) -> None:
        """Lets the run go on."""
        self._gate_open.set()

    def kill(self, *slots: int, sign: int = signal.SIGKILL) -> None:
        for worker in self.workers.values():
            if worker.lives and worker.slot in slots:
                os.kill(worker.process.pid, sign)

    def happened(self, event: ev.Event) -> None:
        self._obey(self.machine.on(event, now=time.monotonic()))

    def stands(self, slot: int, *states: str) -> bool:
        """Whether the worker who sits there is in one of these states, as the machine sees it."""
        return slot in self.machine.seats and self.machine.seats[slot].state in states

    def until(self, what: Any, words: str) -> None:
        """Attends to the workers until ``what()``."""
        ends = time.monotonic() + DEADLINE_S
        while not what():
            now = time.monotonic()
            pipes = {worker.pipe: worker for worker in self.workers.values() if worker.lives}
            ready = connection.wait(list(pipes), timeout=max(0.0, min(0.2, ends - now, self.machine.wake_at - now)))
            for pipe in ready:
                self._attend(pipes[pipe])  # type: ignore[index]
            self.happened(ev.Tick())
            if time.monotonic() > ends:
                seats = [(s.worker, s.state, s.generation, s.step) for s in self.machine.seats.values()]
                self.close()
                raise AssertionError(
                    f"{words}: not in {DEADLINE_S:g} s; {self.machine.phase}, {seats}, silent: {self.silent()}"
                )

    def close(self) -> None:
        for worker in self.workers.values():
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
            worker.lives = False

    def _attend(self, worker: Worker) -> None:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            worker.lives = False
            return self.happened(ev.Died(*worker.who, error=WorkerLost(f"worker {worker.slot} died")))
        if kind == "update":
            return self._write(content["update"])
        if kind == "hello":
            worker.hello = content["hello"]
            return self.happened(ev.Ready(*worker.who, hello=worker.hello))
        if "error" in content:
            content["error"] = from_dict(content["error"])
        self.happened(_EVENTS[kind](*worker.who, **content))

    def _obey(self, instructions: list[ins.Instruction]) -> None:
        for each in instructions:
            if isinstance(each, ins.Hire):
                if self.hires or (each.slot < self._first and not each.incarnation):
                    self._start(each.slot, each.incarnation)
                    self.happened(ev.Placed(each.slot, each.incarnation, node="here"))
            elif isinstance(each, ins.Form):
                self._form(each)
            elif isinstance(each, ins.Ask):
                for who in self.machine.members:
                    self.workers[who].tell("wish", each.wish)
            elif isinstance(each, ins.Say):
                self.events.append({"event": each.name, **each.fields})
            elif isinstance(each, ins.End):
                self.end = each
            elif (worker := self.workers.get((each.slot, each.incarnation))) is not None:
                if isinstance(each, ins.Kill) and worker.lives:
                    os.kill(worker.process.pid, signal.SIGKILL)
                else:
                    worker.tell("save" if isinstance(each, ins.Save) else "exit")

    def _start(self, slot: int, incarnation: int) -> None:
        faults = self.faults.pop(slot, "")
        marked = []
        for number, fault in enumerate(filter(None, faults.split(";"))):
            flag = f"{self._flags}/{slot}-{incarnation}-{number}"
            self._expected.append(flag)
            marked.append(f"{fault}:flag={flag}")
        ours, theirs = context().Pipe()
        from tests.worker.live_worker import live

        asked = {**self.asked, "data_state": self.folder.data().get("state") if self.formed else None}
        environment = {"GDIST_FAULT": ";".join(marked), "GDIST_CACHE": str(self._flags.parent / "cache")}
        told = (theirs, slot, incarnation, self.job, self.overrides, asked, environment, self._gate)
        process = context().Process(target=live, args=told, daemon=True)
        process.start()
        theirs.close()
        self.workers[slot, incarnation] = Worker(slot, incarnation, process, ours)
        _alive.append(process)

    def _form(self, form: ins.Form) -> None:
        self.formed.append(form)
        common: dict[str, Any] = {
            "generation": form.generation, "size": len(form.workers), "run_dir": str(self.folder.path), "source": form.source,
            "restore": form.restore, "doors": tuple(tuple(self.workers[who].hello["door"]) for who in form.workers),
            "secret": secrets.token_hex(16), "workers": form.workers, "reason": form.reason, "skip": form.skip,
        }  # fmt: skip
        members = self.machine.members if form.planned else ()
        for rank, who in enumerate(form.workers):
            self.workers[who].tell("change" if who in members else "join", Membership(rank=rank, **common))
        for who in form.leaving:
            self.workers[who].tell("change", Membership(rank=-1, **common))

    def _write(self, update: Update) -> None:
        """As the controller does: what is known of a step is not written again."""
        self.folder.append_ledger(update.ledger)
        lines = [line for line in update.lines if self._is_new(line["kind"], line)]
        events = [each for each in update.events if self._is_new(f"event {each['event']}", each)]
        self.folder.append_metrics(lines)
        self.folder.append_events(events)
        self.lines += lines
        self.events += events
        for who in self.machine.members:
            self.workers[who].tell("written", self._written.get("step", 0))

    def _is_new(self, kind: str, said: dict[str, Any]) -> bool:
        number = said.get("generation" if kind == "event generation" else "step")
        if number is None:
            return True
        if number <= self._written.get(kind, -1):
            return False
        self._written[kind] = number
        return True


_EVENTS: dict[str, Any] = {
    "entered": ev.Entered,
    "left": ev.Left,
    "broken": ev.Broken,
    "returned": ev.Returned,
    "failed": ev.Failed,
    "saved": ev.Saved,
}
_alive: list[Any] = []


@atexit.register
def _end() -> None:
    for process in _alive:
        process.kill()
