"""What is written down of who leads a run and who works for it: for other terminals, and for a controller that takes it up."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gdist.cluster import memo
from gdist.cluster.charge import Charge
from gdist.cluster.chronicle import Chronicle
from gdist.cluster.names import NAMESPACE, controller_name
from gdist.cluster.staff import Staff

if TYPE_CHECKING:
    from gdist.cluster.leading import Leading


class Notes:
    """``of``: the one who leads, known a little later; ``times``: how often the run was taken up."""

    def __init__(self, charge: Charge, *, chronicle: Chronicle, staff: Staff, times: int) -> None:
        self.times = times
        self._incomplete = False
        self._charge = charge
        self._chronicle = chronicle
        self._staff = staff
        self._leading: Leading

    def of(self, leading: Leading) -> None:
        self._leading = leading

    def tick(self) -> None:
        """Who works for the run is known once it has been taken up."""
        if self._incomplete and self._leading.machine.phase != "taking up":
            self.note_down()

    def note_down(self) -> None:
        """What another controller would have to know, in Ray's store and in ``control.json``."""
        machine, folder = self._leading.machine, self._chronicle.folder
        workers = sorted({*(seat.worker for seat in machine.seats.values()), *self._staff.handles, *self._staff.pending})
        memo.note(
            self._charge.terms.run_id,
            {
                "run_dir": str(folder.path.resolve()) if folder is not None else None,
                "times": self.times,
                "opened": self._chronicle.opened,
                "generation": machine.generation,
                "kept": asdict(machine.to_keep),
                "in_force": self._leading.in_force,
                "workers": workers,
                "at": time.time(),
                "least": self._leading.least,
                "most": self._leading.most,
                "given_up": sorted(self._leading.given_up),
                "over": self._leading.outcome is not None,
            },
        )
        self._incomplete = machine.phase == "taking up"
        if folder is not None and not self._incomplete:
            folder.write_control(self._control())

    def _control(self) -> dict[str, Any]:
        """``control.json``: how another terminal reaches the run, and which generation is in force."""
        charge, machine = self._charge, self._leading.machine
        seats = {seat.slot: seat for seat in machine.seats.values() if seat.hello}
        return {
            "address": charge.address,
            "namespace": NAMESPACE,
            "controller": controller_name(charge.terms.run_id),
            "run_id": charge.terms.run_id,
            "host": socket.gethostname(),
            "controller_pid": os.getpid(),
            "driver": {"host": charge.driver_host, "pid": charge.driver_pid},
            "generation": self._leading.in_force,
            "workers": {
                slot: {"incarnation": seat.incarnation, "host": seat.hello["host"], "pid": seat.hello["pid"]}
                for slot, seat in sorted(seats.items())
            },
            "written": time.time(),
        }
