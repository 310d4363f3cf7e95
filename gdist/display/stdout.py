"""Standard output held for data: whatever else writes there (user code, a C library) lands on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from gdist.run.lines import to_json


class JsonOutput:
    """Takes descriptor 1 for itself, from now until ``close``."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out: int | None = os.dup(1)
        os.dup2(2, 1)
        self._gone = False

    def write(self, values: Iterable[dict[str, Any]]) -> None:
        """Each as a line."""
        content = memoryview("".join(to_json(value) + "\n" for value in values).encode())
        while content and self._out is not None and not self._gone:
            try:
                content = content[os.write(self._out, content) :]
            except OSError:  # the reader went away: the run goes on
                self._gone = True

    def close(self) -> None:
        """Gives standard output back. Idempotent."""
        if self._out is not None:
            sys.stdout.flush()
            os.dup2(self._out, 1)
            os.close(self._out)
            self._out = None
