"""What is made of the news that a worker is gone, or stuck: said once, with the cause as far as known; told to the machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gdist.cluster.staff import Staff
from gdist.cluster.verdict import worker_lost
from gdist.errors import GdistError
from gdist.membership.events import Died
from gdist.membership.instructions import Worker

if TYPE_CHECKING:
    from gdist.cluster.leading import Leading

AGENT_SPEAKS_S = 5.0  # for whoever watches a worker's process to say how it died
SHOWN_LINES = 5


class Losses:
    """Of one run."""

    def __init__(self, leading: Leading, staff: Staff, *, kill: Callable[[Worker], None]) -> None:
        self._kill = kill
        self._leading = leading
        self._staff = staff
        self._gone: set[Worker] = set()

    def lost(self, worker: Worker, facts: dict[str, Any], *, node: str | None) -> None:
        """A worker's process is gone. ``facts``: an agent's (vigil.py)."""
        self._staff.let_go(worker)
        self._gone.add(worker)
        cause = self._leading.why_killed.pop(worker, None)
        if cause is not None:
            facts = {**facts, "cause": cause}
        if worker in self._leading.given_up:
            self._leading.given_up.discard(worker)
            return
        if self._leading.outcome is not None or not (cause or self._leading.machine.employs(*worker)):
            return
        seat = self._leading.machine.seats.get(worker[0])
        if seat is None or seat.worker != worker or seat.state != "returned":
            step = facts.get("step") or self._leading.step
            told = {
                "host": facts["host"],
                "cause": facts["cause"],
                "step": step,
                "last_lines": facts["last_lines"][-SHOWN_LINES:],
            }
            self._leading.say("worker_lost", worker=worker[0], **told)
        self._leading.happened(Died(*worker, error=worker_lost(worker[0], facts), place=facts.get("place"), node=node))

    def hung(self, worker: Worker, facts: dict[str, Any]) -> None:
        """A worker was stuck, and was killed; its death is told next."""
        if self._leading.machine.employs(*worker):
            self._leading.say("hung", worker=worker[0], **facts)
            self._leading.why_killed[worker] = f"killed, since it was stuck in {facts['phase']} for {facts['seconds']:.1f} s"

    async def gone(self, worker: Worker, error: GdistError, *, watched: bool) -> None:
        """Ray says that a worker is dead, or could not be made; who watches its process has a while to say more."""
        deadline = time.monotonic() + (AGENT_SPEAKS_S if watched else 0.0)
        while worker not in self._gone and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if worker not in self._gone:
            self._kill(worker)  # Ray's word is no death: the process may be there still
            seat = self._leading.machine.seats.get(worker[0])
            host = seat.hello.get("host") if seat is not None else None
            facts: dict[str, Any] = {
                "pid": None,
                "host": host,
                "cause": f"{error.what} ({error.note.strip().splitlines()[-1][:300]})" if error.note else error.what,
                "note": error.note,
                "last_lines": [],
                "phase": None,
            }
            self.lost(worker, facts, node=None)
