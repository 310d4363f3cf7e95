"""Errors as a person reads them, on standard error, in four parts; the last line is what to do.

error: unknown field `optimizer.learning_rate`
  --> command line: optimizer.learning_rate=3e-4
note: ...
help: did you mean `optimizer.lr`?
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TextIO

from gdist.errors import GdistError, UserCodeError

_STYLES = {"error": "\x1b[1;31m", "help": "\x1b[36m"}
_OFF = "\x1b[0m"


def print_error(
    error: BaseException, *, verbose: bool = False, next_step: str | None = None, stream: TextIO | None = None
) -> None:
    """Writes ``error``, once. ``verbose``: with all frames; ``next_step``: one more line of help, the last."""
    stream = stream or sys.stderr
    colored = has_color(stream)
    lines = _known(error, verbose=verbose) if isinstance(error, GdistError) else _unexpected(error, verbose=verbose)
    if next_step:
        lines.append(("help", next_step))
    text = "".join(_line(label, words, colored=colored) for label, words in lines)
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        pass  # the terminal is gone; the exit code still says it


def has_color(stream: TextIO) -> bool:
    """Whether colour is wanted there: a terminal that has it, and nobody who asked for none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _known(error: GdistError, *, verbose: bool) -> list[tuple[str, str]]:
    lines = [("error", error.what)]
    if error.where:
        lines.append(("", f"  --> {error.where}"))
    trace = None
    if isinstance(error, UserCodeError):
        trace = error.full_traceback if verbose else error.traceback
    if trace and (verbose or trace.count('File "') > 1):  # one frame alone is what `-->` says already
        lines.append(("", "\n".join(f"  {line}" for line in trace.rstrip().splitlines())))
    elif error.note:
        lines.append(("note", error.note))
    if error.help:
        lines.append(("help", error.help))
    return lines


def _unexpected(error: BaseException, *, verbose: bool) -> list[tuple[str, str]]:
    words = " ".join(str(error).split())
    lines = [("error", f"gdist itself failed: {type(error).__name__}{f': {words}' if words else ''}")]
    if verbose:
        lines.append(("", "".join(traceback.format_exception(error)).rstrip()))
    else:
        lines.append(("help", "this is a mistake in gdist; the same command with -v shows where"))
    return lines


def _line(label: str, words: str, *, colored: bool) -> str:
    if not label:
        return f"{words}\n"
    start, end = (_STYLES.get(label, ""), _OFF) if colored else ("", "")
    head, *rest = words.splitlines() or [""]
    return f"{start}{label}:{end if start else ''} {head}\n" + "".join(f"      {line.strip()}\n" for line in rest)
