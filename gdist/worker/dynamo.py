"""torch's compiler, imported when somebody compiles, not when the first optimizer is made.

The first ``torch.optim`` object imports ``torch._dynamo`` (with sympy, FSDP, torch.export), and so does its ``step``:
0.9 s of a worker's start, only to say "do not compile this". A stand-in says that as long as nobody has asked for anything
else of the module; the first who does gets the real one.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"


class _StandIn(ModuleType):
    """Knows the two functions that eager code calls; any other attribute imports the real module."""

    def graph_break(self, *_: Any, **__: Any) -> None:
        if (real := _real()) is not None:
            real.graph_break()

    def disable(self, fn: Callable[..., Any] | None = None, recursive: bool = True, **more: Any) -> Any:
        if fn is None:
            return functools.partial(self.disable, recursive=recursive, **more)
        disabled: list[Callable[..., Any]] = []

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not disabled and (real := _real()) is not None:
                disabled.append(real.disable(fn, recursive, **more))
            return (disabled[0] if disabled else fn)(*args, **kwargs)

        return call

    def __getattr__(self, name: str) -> Any:
        if name in ("__wrapped__", "__file__", "__spec__"):
            raise AttributeError(name)
        return getattr(_load(), name)


def import_compiler_late() -> None:
    """Puts the stand-in where ``torch._dynamo`` would be. For a process that is ours alone; without effect if it is there."""
    if _NAME not in sys.modules:
        stand_in = _StandIn(_NAME, "imported when it is used (gdist/worker/dynamo.py)")
        sys.modules[_NAME] = stand_in
        torch._dynamo = stand_in


def _real() -> ModuleType | None:
    module = sys.modules.get(_NAME)
    return module if module is not None and not isinstance(module, _StandIn) else None


def _load() -> ModuleType:
    if (real := _real()) is not None:
        return real
    sys.modules.pop(_NAME, None)
    return importlib.import_module(_NAME)
