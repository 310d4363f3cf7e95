"""An exception out of the user's code becomes one error with the user's own traceback, gdist's and the libraries' taken out."""

from __future__ import annotations

import os
import sysconfig
import traceback
from bdb import BdbQuit
from collections.abc import Iterator
from contextlib import contextmanager

from gdist.errors import GdistError, UserCodeError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARIES = tuple({sysconfig.get_path(k) for k in ("purelib", "platlib", "stdlib", "platstdlib")})


@contextmanager
def blaming_user(what: str, **where: object) -> Iterator[None]:
    """Turns any exception that is not gdist's own into UserCodeError: ``what``, at ``where`` (worker=..., step=...; what
    can be called is asked when it comes to that)."""
    try:
        yield
    except (GdistError, KeyboardInterrupt, BdbQuit):  # the user's own wish to end
        raise
    except BaseException as error:
        raise user_error(error, what, **where) from error


def user_error(error: BaseException, what: str, **where: object) -> UserCodeError:
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if _is_users(f.filename)]
    last = theirs[-1] if theirs else None
    place = f"{_short(last.filename)}:{last.lineno} in {last.name}: {last.line}" if last else None
    said = {key: value() if callable(value) else value for key, value in where.items()}
    circumstances = ", ".join(f"{key} {value}" for key, value in said.items() if value is not None)
    message = " ".join(str(error).split())
    return UserCodeError(
        f"{what}{f' ({circumstances})' if circumstances else ''}",
        where=place or _module(error),
        note=f"{type(error).__name__}: {message}"[:600],
        traceback="".join(traceback.format_list(theirs)) + f"{type(error).__name__}: {error}" if theirs else None,
        full_traceback="".join(traceback.format_exception(error)),
    )


def _module(error: BaseException) -> str | None:
    """Where none of the user's own lines is on the way: the innermost of the model's modules."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if hasattr(owner, "named_parameters") and hasattr(owner, "forward"):
            found = owner
    return f"module {str(found).splitlines()[0]}" if found is not None else None


def _is_users(filename: str) -> bool:
    path = os.path.abspath(filename)
    return not path.startswith((_PACKAGE, *_LIBRARIES)) and not filename.startswith("<frozen")


def _short(filename: str) -> str:
    relative = os.path.relpath(filename)
    return relative if not relative.startswith("..") else filename
