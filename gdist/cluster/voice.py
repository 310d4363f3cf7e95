"""What a worker says to its controller: in order, one call after another, again where a controller has died over it.

Ray runs the calls of an asyncio actor in no certain order, and a call that failed may have been heard; so all that has gathered
since the last call is one numbered call, and the next is made when that has been answered.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from gdist.records import Update

TELL_S = 20.0  # for the controller to have heard all that this worker said
ANSWER_S = 60.0  # for a call; Ray starts a controller that has died again within seconds
AGAIN_S = 0.1

Message = tuple[str, Any]  # "tell" and an Update; or a kind of report and its content


class Voice(threading.Thread):
    """Of one worker; ``send`` and ``report`` may be called from any thread and wait for nothing."""

    def __init__(self, controller: Any, slot: int, incarnation: int) -> None:
        super().__init__(name="gdist-voice", daemon=True)
        self._controller = controller
        self._who = (slot, incarnation)
        self._changed = threading.Condition()
        self._unsaid: list[Message] = []
        self._saying = False
        self._lost = False

    def send(self, update: Update) -> None:
        """Events and lines."""
        self._say(("tell", update))

    def report(self, kind: str, **content: Any) -> None:
        """See ``reports.event_of``."""
        self._say((kind, content))

    def flush(self) -> None:
        """Waits until all of it was heard, within a bound."""
        with self._changed:
            self._changed.wait_for(lambda: self._lost or not (self._unsaid or self._saying), TELL_S)

    def run(self) -> None:
        number = 0
        while True:
            with self._changed:
                self._saying = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._unsaid)
                messages, self._unsaid, self._saying = self._unsaid, [], True
            number += 1
            if not self._is_heard(number, messages):
                with self._changed:
                    self._lost = True
                    return self._changed.notify_all()

    def _is_heard(self, number: int, messages: list[Message]) -> bool:
        import ray
        from ray.exceptions import ActorUnavailableError, RayError

        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            try:
                ray.get(self._controller.hear.remote(*self._who, number, messages), timeout=ANSWER_S)
                return True
            except ActorUnavailableError:
                time.sleep(AGAIN_S)
            except (RayError, ValueError):  # there will be no other; ValueError: this process's Ray was shut down
                return False
        return False

    def _say(self, message: Message) -> None:
        with self._changed:
            self._unsaid.append(message)
            self._changed.notify_all()
