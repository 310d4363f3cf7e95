"""A run that another process trains right now, as its folder shows it: who its workers are, and what becomes of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from gdist.display.asked import Asked
from gdist.display.changes import under_way
from gdist.display.sentences import told
from gdist.display.standing import Standing
from gdist.display.waiting import Waiting
from gdist.errors import DeadlineExceeded, RunFailed, UsageError
from gdist.run.bounds import Bounds
from gdist.run.folder import RunFolder
from gdist.run.follow import Following
from gdist.run.lock import holder

WAIT_S = 300.0
RESTART_S = 3.0  # for a controller that has died to be there again
_POLL_S = 0.1
_QUIET = ("scale", "generation", "leaving")  # whoever waits says these


class Running:
    """A run that trains right now, as far as its folder tells. Raises UsageError where its workers cannot change."""

    def __init__(self, folder: RunFolder, *, restart_s: float = RESTART_S) -> None:
        _must_train(folder, restart_s)
        self.folder = folder
        self.standing = Standing()
        self.micro_batches: int | None = None
        self._following = Following(folder)
        self.catch_up()

    def catch_up(self) -> None:
        """What has happened until now is no answer to what is asked next."""
        news = self._following.news()
        self.standing.take(news)
        for event in news.events:
            if event["event"] == "started":
                self.micro_batches = event.get("micro_batches")

    @property
    def slots(self) -> tuple[int, ...]:
        return self.standing.members.slots

    def wait(self, wanted: Callable[[Asked], bool], *, for_what: str) -> Asked:
        """Until ``wanted``; says meanwhile what happens. Raises RunFailed if the run ends before, DeadlineExceeded."""
        asked, shown, deadline = Asked(self.slots, wanted), Waiting(), time.monotonic() + WAIT_S
        try:
            while True:
                news = self._following.news()
                asked.take(news)
                for event, line in told(news, self.standing):
                    if event["event"] not in _QUIET:
                        shown.say(line)
                if asked.settled:
                    return asked
                if asked.ended is not None:
                    raise RunFailed(f"run `{self.folder.name}` ended before that: {asked.ended}", where=str(self.folder.path))
                if time.monotonic() > deadline:
                    raise self._late(for_what)
                shown.show("; ".join(under_way(self.standing.members, now=time.time())) or f"waiting for {for_what}")
                time.sleep(_POLL_S)
        except KeyboardInterrupt:
            shown.say(f"no longer waiting for {for_what}; the wish stands")
            raise
        finally:
            shown.show("")

    def _late(self, for_what: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{for_what} did not come within {WAIT_S:.0f} s",
            where=str(self.folder.path),
            note="; ".join(under_way(self.standing.members, now=time.time())) or None,
            help=f"the wish stands; gdist scale {self.folder.name} {len(self.slots)} takes it back",
        )


def check_share(wanted: Bounds, run: Running) -> None:
    """Raises UsageError where a step has fewer micro-batches than there would be workers."""
    parts = run.micro_batches
    if parts is not None and wanted.most > parts:
        raise UsageError(
            f"a step of run `{run.folder.name}` has {parts} micro-batches: {wanted.most} workers cannot share them",
            where=f"command line: {wanted}",
            help=f"at most: gdist scale {run.folder.name} {Bounds(min(wanted.least, parts), parts)}",
        )


def _must_train(folder: RunFolder, restart_s: float) -> None:
    result = folder.result()
    how = f"gdist resume {folder.name} --workers N"
    if result is not None:
        ended = {"done": "is done", "stopped": "was stopped"}.get(str(result.get("status")), "has failed")
        raise UsageError(f"run `{folder.name}` {ended}: it has no workers", where=str(folder.path), help=f"to go on: {how}")
    control, by = folder.control(), holder(folder.path)
    deadline = time.monotonic() + restart_s
    while by is None and control is not None and control.get("host") == socket.gethostname() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        by = holder(folder.path)
    if by is None and (control is None or control.get("host") == socket.gethostname()):
        raise UsageError(f"run `{folder.name}` is not being trained right now", where=str(folder.path), help=f"to go on: {how}")
    if control is None:
        raise UsageError(
            f"run `{folder.name}` trains without Ray, with the workers that it has",
            where=str(folder.path),
            note=f"by {by}",
            help=f"end it with Ctrl-C where it was started, and: {how}",
        )
