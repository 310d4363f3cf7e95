"""Text from a command line, read as the type of the field that it is for.

none, null -> None    true, false, yes, no -> bool    1e3 -> 1000 where a whole number is wanted
a,b  [a, b]  ["a", "b"] -> list    module:name -> what it names, where a function or class is wanted
"""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import types
import typing
from collections import abc
from pathlib import Path
from typing import Any, Literal

from gdist.description import Wrong, allowed, members

_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_ORDER = (types.NoneType, bool, int, float, Literal, list, tuple, abc.Sequence, dict, abc.Callable, type, Path, str)


def read(text: str, annotation: Any, *, strictly: bool = False) -> Any:
    """The value of ``text`` as one of the types of ``annotation``, the narrowest that fits. Where none does: ValueError if
    ``strictly``, else None."""
    parts = members(annotation)
    flat = [part for outer in parts for part in members(outer)]
    if str in flat and text[:1] not in ("[", "("):  # a path with a comma is no list
        flat = [part for part in flat if (typing.get_origin(part) or part) not in (list, tuple, abc.Sequence)]
    for part in sorted(flat, key=_rank):
        try:
            return _one(text, part)
        except ValueError as error:
            if isinstance(error, Wrong):
                raise
    if strictly:
        raise ValueError(text)
    return None


def read_argument(text: str, function: Any, name: str) -> Any:
    """An argument of the user's own function, as the type of its annotation or else of its default; else freely."""
    try:
        parameter = inspect.signature(function).parameters.get(name)
    except (TypeError, ValueError):
        parameter = None
    if parameter is None:
        return read_freely(text)
    wanted = _hints(function).get(name, Any)
    if wanted is Any and parameter.default is not parameter.empty and parameter.default is not None:
        wanted = type(parameter.default)
    try:
        return read_freely(text) if wanted is Any else read(text, wanted, strictly=True)
    except ValueError:
        raise Wrong(f"must be {allowed(wanted)}, as the function says, not {text!r}") from None


def read_freely(text: str) -> Any:
    """What Python or JSON would make of it; the text itself if nothing."""
    if text.lower() in ("none", "null"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if isinstance(value, int | float | str | list | tuple | dict) else text


def _one(text: str, kind: Any) -> Any:
    origin = typing.get_origin(kind) or kind
    if origin is Any:
        return read_freely(text)
    if origin is types.NoneType:
        if text.lower() not in ("none", "null", ""):
            raise ValueError(text)
        return None
    if origin is bool:
        if text.lower() not in _TRUTH:
            raise ValueError(text)
        return _TRUTH[text.lower()]
    if origin is int:
        return _whole(text)
    if origin is float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    if origin is Literal:
        found = [choice for choice in typing.get_args(kind) if str(choice) == text]
        if not found:
            raise ValueError(text)
        return found[0]
    if origin in (list, tuple, abc.Sequence):
        return _several(text, kind, origin)
    if origin is dict:
        value = read_freely(text)
        if not isinstance(value, dict):
            raise ValueError(text)
        return value
    if origin in (abc.Callable, type) or (isinstance(origin, type) and not issubclass(origin, str | Path)):
        return _imported(text)
    return Path(text) if origin is Path else text


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise
        return int(number)


def _several(text: str, kind: Any, origin: Any) -> Any:
    """A list as Python or JSON writes it, or words between commas."""
    value = ast.literal_eval(text) if text[:1] in "[(" and _is_literal(text) else None
    if isinstance(value, list | tuple):
        texts = [str(each) for each in value]
    else:
        texts = [part.strip().strip("'\"") for part in text.strip("[]()").split(",") if part.strip()]
    of = [a for a in typing.get_args(kind) if a is not Ellipsis] or [Any]
    many = len(of) == len(texts) and origin is tuple and Ellipsis not in typing.get_args(kind)
    kinds = of if many else [of[0]] * len(texts)
    values = [read(each, wanted, strictly=True) for each, wanted in zip(texts, kinds, strict=True)]
    return tuple(values) if origin is tuple else values


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def _imported(text: str) -> Any:
    """``package.module:name``, imported."""
    module, colon, path = text.partition(":")
    if not colon:
        raise ValueError(text)
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise Wrong(f"cannot be imported from {text!r}: {error}", help="write module:name") from None
    return found() if isinstance(found, type) and any(base.__name__ == "Callback" for base in found.__mro__) else found


def _rank(kind: Any) -> int:
    origin = typing.get_origin(kind) or kind
    return _ORDER.index(origin) if origin in _ORDER else len(_ORDER) - 3


def _hints(function: Any) -> dict[str, Any]:
    """Annotations with their names resolved, as far as they can be."""
    try:
        return typing.get_type_hints(getattr(function, "__init__") if isinstance(function, type) else function)  # noqa: B009
    except Exception:
        return {}
