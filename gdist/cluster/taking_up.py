"""A controller that Ray has started again finds its run: the folder, the workers that there were, what is written already."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdist.errors import GdistError
from gdist.run.folder import RunFolder

if TYPE_CHECKING:
    from gdist.cluster.chronicle import Chronicle
    from gdist.cluster.leading import Leading
    from gdist.cluster.staff import Staff

HELD_S = 5.0  # for the lock of the dead one to be let go


def take_up(noted: dict[str, Any], leading: Leading, staff: Staff, chronicle: Chronicle) -> bool:
    """``noted``: memo.py. What the workers are about, they say themselves. False where the run cannot be taken up."""
    begun = time.monotonic()
    if noted["opened"]:
        folder = RunFolder(Path(noted["run_dir"])) if noted["run_dir"] else None
        while folder is not None:
            try:
                folder.hold()
                break
            except GdistError:
                if time.monotonic() - begun > HELD_S:
                    return False
                time.sleep(0.05)
        chronicle.take_up(folder)
    for slot, incarnation in noted["workers"]:
        staff.find((slot, incarnation))
    leading.in_force = noted["in_force"]
    leading.least, leading.most = noted["least"], noted["most"]
    leading.given_up = {(slot, incarnation) for slot, incarnation in noted["given_up"]}
    workers = sorted({slot for slot, _ in noted["workers"]})
    leading.say("controller", workers=workers, seconds=time.time() - noted["at"])
    return True
