"""A whole run in this process: no Ray, no peers, the same engine; ``breakpoint()`` works in the job."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from gdist.errors import GdistError
from gdist.records import Interrupt, Membership, Order, Update, Watch, Wishes, event
from gdist.run.folder import RunFolder
from gdist.worker.member import make_member

_POLL_S = 0.1


def train_local(order: Order, *, watch: Watch, interrupt: Interrupt) -> dict[str, Any]:
    """Does here what ``order`` asks, and writes the run folder if it trains. Returns the contents of ``result.json``; raises
    GdistError."""
    folder: RunFolder | None = None

    def send(update: Update) -> None:
        if folder is not None:
            folder.append_events(update.events)
            folder.append_ledger(update.ledger)
            folder.append_metrics(update.lines)
        watch(update)

    wishes = Wishes()
    member = make_member(order, slot=0, send=send, wishes=wishes)
    over = threading.Event()
    threading.Thread(target=_pass_on, args=(interrupt, wishes, over), name="gdist-interrupt", daemon=True).start()
    try:
        member.prepare()
        folder = open_folder(order, member.name)
        generation = folder.last_generation() + 1 if folder is not None else 1
        run_dir = str(folder.path) if folder is not None else None
        member.join(Membership(generation=generation, rank=0, size=1, run_dir=run_dir))
        result = member.work()
        assert isinstance(result, dict), "nobody changes the members of a run in one process"
        if folder is not None:
            folder.write_result(result)
        send(Update(events=[event("finished", **result)]))
        return result
    except GdistError as error:
        if folder is not None:
            if member.step:
                with suppress(GdistError):  # what went wrong first is what is told
                    member.save()
            if folder.result() is None:  # else what was refused is to go on; how the run ended before stays
                folder.write_result(failure(error, member.step, folder))
        if folder is not None or order.purpose != "train":
            send(Update(events=[event("failed", error=error.to_dict(), step=member.step)]))
        raise
    finally:
        over.set()
        member.close()
        if folder is not None:
            folder.let_go()


def open_folder(order: Order, name: str) -> RunFolder | None:
    """The order's run folder, held by this process: made now, or opened to go on. None where the order only reads a run.
    Raises UsageError if another process holds it."""
    if order.purpose != "train":
        return None
    if order.resume:
        assert order.run_dir is not None
        folder = RunFolder.open(order.run_dir)
    else:
        folder = RunFolder.create(order.runs_root, name=order.name or name, numbered=order.name is None, run_dir=order.run_dir)
    folder.hold()
    return folder


def failure(error: GdistError, step: int, folder: RunFolder) -> dict[str, Any]:
    """``result.json`` of a run that failed."""
    return {
        "status": "failed",
        "reason": error.what,
        "steps": step,
        "error": error.to_dict(),
        "run_dir": str(Path(folder.path)),
    }


def _pass_on(interrupt: Interrupt, wishes: Wishes, over: threading.Event) -> None:
    while not over.is_set():
        if interrupt.stop.wait(_POLL_S):
            wishes.add("stop", reason=interrupt.reason)
            return
