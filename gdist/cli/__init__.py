"""The command line: one file a verb."""

from gdist.cli.entry import main

__all__ = ["main"]
