"""Follows one run from its start to its end, for whoever watches it, across controllers that die and are started again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from gdist.cluster.actors import CLOSE_S, Actors
from gdist.cluster.session import Session
from gdist.errors import DeadlineExceeded, GdistError, RunFailed
from gdist.records import Interrupt, Update, Watch, event
from gdist.run.checkpoint import list_checkpoints
from gdist.run.folder import RunFolder
from gdist.worker.local import failure

POLL_S = 0.1
SILENCE_S = 60.0  # of a controller; Ray starts one that has died again within seconds
AGAIN_S = 0.1
SAVING_S = 20.0  # for a stop with a checkpoint, in a Ray that comes to its end
REMEMBERED = 4096  # events and lines


class Seen:
    """What the watcher was told already: a controller that takes a run up tells the last of it again, and what was before."""

    def __init__(self) -> None:
        self._times: dict[float, None] = {}
        self._forgotten = 0.0  # the newest time that is not remembered any more
        self._since: float | None = None  # the first that this watcher was told: older is of an earlier session

    def new(self, update: Update) -> Update | None:
        """None: nothing of it is new."""
        if self._since is None:
            self._since = min((each["time"] for each in (*update.events, *update.lines)), default=None)
        events = [each for each in update.events if self._is_new(each["time"])]
        lines = [each for each in update.lines if self._is_new(each["time"])]
        for each in (*events, *lines):
            self._times[each["time"]] = None
        while len(self._times) > REMEMBERED:
            self._forgotten = max(self._forgotten, oldest := next(iter(self._times)))
            del self._times[oldest]
        return replace(update, events=events, lines=lines) if events or lines or update.output else None

    def _is_new(self, time: float) -> bool:
        return time not in self._times and time > self._forgotten and (self._since is None or time >= self._since)


class Follower:
    """Follows one run from its start to its end."""

    def __init__(self, session: Session, actors: Actors, watch: Watch, interrupt: Interrupt) -> None:
        self._session = session
        self._ray = session.ray
        self._actors = actors
        self._watch = watch
        self._interrupt = interrupt
        self._run_dir: str | None = None
        self._error: GdistError | None = None
        self._seen = Seen()

    def to_the_end(self) -> dict[str, Any]:
        try:
            if not self._actors.start(say=self._explain, wait=self._wait_for_room):
                return stopped(self._interrupt)
            return self._follow()
        except GdistError as error:
            self._error = error
            raise
        except KeyboardInterrupt:  # in a notebook, where no handler turns it into a wish
            self._abandon()
            raise
        finally:
            if not self._actors.end():
                self._write_result()

    def _follow(self) -> dict[str, Any]:
        ray, interrupt, controller = self._ray, self._interrupt, self._actors.controller
        after, heard, asked, asked_at = 0, time.monotonic(), False, 0.0
        news = controller.follow.remote(after)
        while True:
            ready, _ = ray.wait([news], timeout=POLL_S)
            if interrupt.now.is_set():
                return self._abandon()
            lost = self._session.lost()
            if lost is not None and not interrupt.stop.is_set():  # Ray itself ends everybody a minute after its gcs_server
                interrupt.reason = f"Ray's {lost} has died"
                interrupt.stop.set()
            if lost == "raylet" or (lost is not None and asked and time.monotonic() - asked_at > SAVING_S):
                raise RunFailed(
                    f"the run's own Ray is gone: its {lost} has died",
                    note="killed by somebody, or for want of memory: see `dmesg` and /tmp/ray/session_latest/logs",
                    help="go on from the last checkpoint: gdist resume RUN",
                )
            if interrupt.stop.is_set() and not asked:
                controller.ask.remote("stop", interrupt.reason)
                asked, asked_at = True, time.monotonic()
            if ready:
                answer = self._get(news)
                if answer is None:  # Ray starts another controller, which takes the run up
                    asked = False
                    time.sleep(AGAIN_S)
                else:
                    updates, after, outcome = answer
                    heard = time.monotonic()
                    self._tell(updates)
                    if outcome is not None:
                        if outcome.error is not None:
                            raise outcome.error
                        return dict(outcome.result)
                news = controller.follow.remote(after)
            if time.monotonic() - heard > SILENCE_S:
                raise DeadlineExceeded(f"the run's controller has not answered for {SILENCE_S:.0f} s")

    def _tell(self, updates: list[Update]) -> None:
        for update in updates:
            begun = [e["run_dir"] for e in update.events if e["event"] == "started"]  # others only read a run
            self._run_dir = begun[0] if begun else self._run_dir
            new = self._seen.new(update)
            if new is not None:
                self._watch(new)

    def _wait_for_room(self, group: Any) -> bool:
        """Whether the room is there, within a second; tells the controller that somebody waits. Raises InterruptedError."""
        deadline = time.monotonic() + 1.0
        self._actors.controller.follow.remote(0)
        while not group.wait(POLL_S):
            if self._interrupt.stop.is_set() or self._interrupt.now.is_set():
                raise InterruptedError
            if time.monotonic() > deadline:
                return False
        return True

    def _get(self, reference: Any) -> Any:
        """What the controller answered; None: it is away for a moment."""
        from ray.exceptions import ActorUnavailableError, RayError

        try:
            return self._ray.get(reference, timeout=CLOSE_S)
        except ActorUnavailableError:
            return None
        except RayError as error:
            text = str(error).strip()
            told = (
                text if "creation task" in text else text.partition("\n")[0]
            )  # what kept it from being made, or Ray's guesses
            raise RunFailed(
                "the run's controller died",
                note=f"{type(error).__name__}: {told}"[-1500:],
                help="go on from the last checkpoint: gdist resume RUN",
            ) from error

    def _abandon(self) -> dict[str, Any]:
        """Twice Ctrl-C: nothing is waited for."""
        try:
            controller = self._actors.controller
            result: dict[str, Any] = self._ray.get(controller.abandon.remote(self._interrupt.reason), timeout=1.0)
            return result
        except Exception:
            return stopped(self._interrupt)

    def _explain(self, text: str) -> None:
        self._watch(Update(events=[event("explained", text=text)]))

    def _write_result(self) -> None:
        """In the place of a controller that died."""
        folder = RunFolder(Path(self._run_dir)) if self._run_dir else None
        if folder is not None and self._error is not None and folder.path.is_dir() and folder.result() is None:
            step = max((place.step for place in list_checkpoints(folder.checkpoints)), default=0)
            folder.write_result(failure(self._error, step, folder))


def stopped(interrupt: Interrupt) -> dict[str, Any]:
    """The result of a run that was ended before it began."""
    return {"status": "stopped", "reason": interrupt.reason, "steps": 0}
