"""Work beside the calls of an actor's event loop, and waiting for another actor's end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

AGAIN_S = 0.2


class Tasks:
    """What goes on beside: the loop itself holds a task only weakly."""

    def __init__(self) -> None:
        self._going: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._going.add(task)
        task.add_done_callback(self._going.discard)


async def death_of(handle: Any) -> Exception:
    """Ray's word for the end of an actor that has a method ``until_gone``; waits for it."""
    from ray.exceptions import ActorUnavailableError

    while True:
        try:
            await handle.until_gone.remote()
        except ActorUnavailableError:  # says nothing of its life
            await asyncio.sleep(AGAIN_S)
        except Exception as error:
            return error
