"""The run folder and everything in it: one module reads and writes it, all else goes through it."""

from gdist.run.find import find_run
from gdist.run.folder import RunFolder

__all__ = ["RunFolder", "find_run"]
