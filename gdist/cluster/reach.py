"""A running run's controller, as other terminals reach it: ``gdist scale``, ``gdist drain``.

with reach(run_dir) as controller:
    controller.scale(1, 4)
    controller.describe()["workers"]
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gdist.errors import RunNotFound
from gdist.records import Wish
from gdist.run.folder import RunFolder

ANSWER_S = 30.0  # a controller that died is started again by Ray within this


class Reached:
    """Calls into the controller of one run. Each raises RunNotFound where nobody answers within ``ANSWER_S``, UsageError for
    what cannot be."""

    def __init__(self, ray: Any, controller: Any, folder: RunFolder) -> None:
        self._ray = ray
        self._controller = controller
        self._folder = folder

    def scale(self, least: int, most: int, *, reason: str = "asked to scale") -> None:
        """Between ``least`` and ``most`` workers from now on; returns once it is noted, before anything has changed."""
        self._call("scale", least, most, reason)

    def drain(self, who: str, *, reason: str | None = None) -> list[int]:
        """``who``: ``worker-1``, or a node (host name, address, or how its id begins): its workers leave at the end of their
        step, and none is hired on that node again. Returns their slots; [] if there is no such worker or node."""
        slots: list[int] = self._call("drain", who, reason)
        return slots

    def ask(self, wish: Wish, reason: str) -> None:
        """Raises a wish (stop, checkpoint, evaluate) in the run."""
        self._call("ask", wish, reason)

    def describe(self) -> dict[str, Any]:
        """How the run stands, as JSON: ``generation`` (0: none yet), ``phase``, ``waiting`` (for what, as words; None),
        ``least``, ``most``, ``step``, ``workers``: [{worker (slot), incarnation, state, member (bool), host, address, node,
        pid}], ``last``: the newest ``generation`` event (None: there was none), ``stepped_at`` (wall clock of the first step
        in it; None: not yet)."""
        described: dict[str, Any] = self._call("describe")
        return described

    def _call(self, method: str, *arguments: Any) -> Any:
        from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                left = max(0.1, deadline - time.monotonic())
                return self._ray.get(getattr(self._controller, method).remote(*arguments), timeout=left)
            except RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from None
            except ActorUnavailableError as error:
                if time.monotonic() > deadline:
                    raise self._silent(error) from error
                time.sleep(0.2)
            except (GetTimeoutError, RayActorError) as error:
                raise self._silent(error) from error

    def _silent(self, error: Exception) -> RunNotFound:
        return RunNotFound(
            f"the controller of run `{self._folder.name}` does not answer",
            where=str(self._folder.path),
            note=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300],
        )


@contextmanager
def reach(run_dir: str | Path, *, verbose: bool = False) -> Iterator[Reached]:
    """Connects to the Ray cluster on which the run in ``run_dir`` trains. Raises RunNotFound if it does not train there
    now."""
    from gdist.cluster.attach import AttachedRay

    folder = RunFolder(Path(run_dir))
    control = folder.control()
    if control is None:
        raise RunNotFound(f"run `{folder.name}` is not being trained on Ray", where=str(folder.path))
    session = AttachedRay(control["address"], verbose=verbose)
    try:
        try:
            controller = session.ray.get_actor(control["controller"], namespace=control["namespace"])
        except ValueError as error:
            raise RunNotFound(
                f"run `{folder.name}` is not being trained any more",
                where=str(folder.path),
                help=f"go on with it: gdist resume {folder.name}",
            ) from error
        yield Reached(session.ray, controller, folder)
    finally:
        session.close()
