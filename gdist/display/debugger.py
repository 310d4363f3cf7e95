"""``breakpoint()`` in a job that trains in this process: the display gives way, and Ctrl-C is the debugger's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def giving_way(*steps: Callable[[], None]) -> Iterator[None]:
    """While entered, ``breakpoint()`` first calls ``steps``, then does what it would have done."""
    before = sys.breakpointhook

    def hook(*args: Any, **kwargs: Any) -> Any:
        for step in steps:
            step()
        if before is sys.__breakpointhook__ and not os.environ.get("PYTHONBREAKPOINT"):
            import pdb

            return pdb.Pdb().set_trace(sys._getframe(1))  # the user's frame, not this one
        return before(*args, **kwargs)

    sys.breakpointhook = hook
    try:
        yield
    finally:
        sys.breakpointhook = before
