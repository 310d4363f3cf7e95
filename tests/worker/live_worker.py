"""A worker's process for the tests of live changes: what gdist.cluster's worker actor does, over a pipe and without Ray."""

from __future__ import annotations

import importlib
import os
import queue
import threading
import traceback
from typing import Any

import torch

import gdist.worker.boundary
import gdist.worker.build
import gdist.worker.connect
import gdist.worker.handover
import gdist.worker.keeper
import gdist.worker.proof  # noqa: F401  (loaded once, before the workers fork)
from gdist import fault_points
from gdist.errors import GdistError, PeerLost, RunFailed, Superseded
from gdist.job import Callback
from gdist.job.overrides import apply_overrides
from gdist.records import Changed, Order, Update, Wishes
from gdist.worker.member import Member
from tests.worker import live_jobs

GATE_S = 60.0


class Gate(Callback):
    """Holds the run after a step until the test lets it go on."""

    def __init__(self, step: int, gate: Any, reached: Any) -> None:
        self.step, self.gate, self.reached = step, gate, reached

    def on_step_end(self, line: dict[str, Any], wishes: Wishes) -> None:
        if line["step"] == self.step:
            self.reached.set()
            assert self.gate.wait(GATE_S), "the test has not opened the gate"


def live(
    pipe: Any,
    slot: int,
    incarnation: int,
    job: str,
    overrides: tuple[str, ...],
    asked: dict[str, Any],
    environment: dict[str, str],
    gate: Any,
) -> None:
    """``asked``: of the Order; ``gate``: (step, event to wait for, event to set), or None."""
    os.environ.update(environment)
    importlib.reload(fault_points)
    fault_points.fault_context(incarnation=incarnation)
    torch.set_num_threads(1)
    _Worker(pipe, slot, job, overrides, asked, gate).live()


class _Worker:
    def __init__(self, pipe: Any, slot: int, job: str, overrides: tuple[str, ...], asked: dict[str, Any], gate: Any) -> None:
        self._pipe, self._sending = pipe, threading.Lock()
        self._orders: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._wishes = Wishes()
        self._newest = self._generation = 0  # that it was told to join, and did
        self._changes: dict[int, Any] = {}
        made = apply_overrides(live_jobs.JOBS[job](), overrides)
        if gate is not None:
            made = made.model_copy(update={"callbacks": [*made.callbacks, Gate(*gate)]})
        self._member = Member(Order(job=made, **asked), slot=slot, send=self._send, wishes=self._wishes)
        threading.Thread(target=self._listen, daemon=True).start()

    def live(self) -> None:
        member = self._member
        try:
            self._report("hello", hello=member.prepare(host="127.0.0.1"))
        except BaseException as error:
            self._failed(error)
        while True:
            kind, content = self._orders.get()
            if kind == "exit":
                return member.close()
            if kind == "save":
                self._report("saved", step=member.save())
            while kind == "join" and content is not None:
                content = self._take_part(content)

    def _take_part(self, membership: Any) -> Any:
        """One generation; returns the membership of the next one, if it is known."""
        member = self._member
        if membership.rank < 0:
            self._report("left", generation=self._generation, step=member.step)
            return None
        self._generation = membership.generation
        try:
            member.join(membership, cancelled=lambda: self._newest > membership.generation)
            self._report("entered", generation=membership.generation, step=member.step)
            outcome = member.work()
        except Superseded:
            return None
        except PeerLost:
            self._report("broken", generation=membership.generation, step=member.step if member.has_state else None)
        except BaseException as error:
            self._failed(error)
        else:
            if not isinstance(outcome, Changed):
                self._report("returned", generation=membership.generation, step=member.step, result=outcome)
            elif outcome.generation:
                return self._changes.pop(outcome.generation)
            else:
                self._report("left", generation=membership.generation, step=member.step)
        return None

    def _failed(self, error: BaseException) -> None:
        note = "".join(traceback.format_exception(error))
        known = error if isinstance(error, GdistError) else RunFailed(f"{type(error).__name__}: {error}", note=note)
        step = self._member.step if self._member.has_state else None
        self._report("failed", generation=self._generation, error=known.to_dict(), step=step)

    def _listen(self) -> None:
        while True:
            try:
                kind, content = self._pipe.recv()
            except EOFError:
                os._exit(1)  # the test is gone
            if kind == "change":
                self._changes[content.generation] = content
                self._wishes.change(content.generation)
            elif kind == "wish":
                self._wishes.add(content, reason="the test wants it")
            elif kind == "written":
                self._member.outbox.acknowledge(content)
            else:
                if kind == "join":
                    self._newest = content.generation
                self._orders.put((kind, content))

    def _send(self, update: Update) -> None:
        self._report("update", update=update)

    def _report(self, kind: str, **content: Any) -> None:
        with self._sending:
            self._pipe.send((kind, content))
