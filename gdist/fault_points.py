"""Named places in the code at which a test makes a real process fail. Nothing happens unless GDIST_FAULT says so.

    GDIST_FAULT="after_reduce:kill:worker=1:step=7"      SIGKILL of this process
    GDIST_FAULT="checkpoint_rename:stop"                 SIGSTOP of this process
    GDIST_FAULT="form_connected:raise:generation=3"      raises FaultInjected
    GDIST_FAULT="before_update:kill:flag=/tmp/x"         once only among all processes: whoever makes the file /tmp/x fires

Several are separated by ";". What follows the action must all hold: ``worker`` (slot), ``step``, ``generation``,
``incarnation``, as the place knows them; ``flag`` is also how a test sees that the fault has fired.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

_ENV = "GDIST_FAULT"


class FaultInjected(RuntimeError):
    """Raised at a fault point by order of a test."""


@dataclass(frozen=True)
class _Fault:
    point: str
    action: str
    where: dict[str, int]
    flag: str | None


def _parse(text: str) -> list[_Fault]:
    faults = []
    for part in filter(None, text.split(";")):
        point, action, *conditions = part.split(":")
        given = dict(each.split("=", 1) for each in conditions)
        flag = given.pop("flag", None)
        faults.append(_Fault(point, action, {name: int(value) for name, value in given.items()}, flag))
    return faults


_FAULTS = _parse(os.environ.get(_ENV, ""))
_CONTEXT: dict[str, int] = {}


def fault_context(**known: int) -> None:
    """What this process knows of itself: ``worker``, ``incarnation``, ``generation``, ``step``."""
    if _FAULTS:
        _CONTEXT.update(known)


def fault_point(point: str, **known: int) -> None:
    """A place at which a fault may be injected; costs one comparison where none is."""
    if _FAULTS:
        _fire(point, {**_CONTEXT, **known})


def _fire(point: str, known: dict[str, Any]) -> None:
    for fault in _FAULTS:
        if fault.point != point or any(known.get(name) != value for name, value in fault.where.items()):
            continue
        if fault.flag is not None:
            try:
                os.close(os.open(fault.flag, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                continue
        if fault.action == "raise":
            raise FaultInjected(f"injected at {point}")
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}[fault.action])
