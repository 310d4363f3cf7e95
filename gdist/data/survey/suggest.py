"""What a job could make of a column, by its name, type and values (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gdist.data.survey.summary import Summary

_TARGETS = ("target", "label", "labels", "class", "y", "outcome", "output", "response")
_ID = re.compile(r"(^|_)(id|uuid|guid|key|index|rowid|row_number)$|^unnamed|^__index_level", re.IGNORECASE)
_GROUP = re.compile(r"(^|_)id$", re.IGNORECASE)  # an id also where it stands in several rows
_LONG_TEXT = 40  # characters on average, from where on it is text and no category
_MOST_CATEGORIES = 1000
_MOST_CLASSES = 100
_LISTED = 8
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_FEW_WHOLE = 20  # distinct whole numbers from 0 or 1 on: up to here they may be classes, which have no scale
SIDES = {  # what a row is for, by the word in a split column
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class Suggestion(NamedTuple):
    """``role``: target, number, class, scale, categorical, text, image, split or leave out; ``why`` in a few words, or
    nothing. A ``class`` is a number that must not be scaled."""

    role: str
    why: str = ""


def suggest(columns: Mapping[str, Summary]) -> dict[str, Suggestion]:
    """For each column, by its name, in the files' order. At most one is the target."""
    found = {name: _role(name, summary) for name, summary in columns.items()}
    target = _target(columns, found)
    if target is not None:
        name, why = target
        found[name] = Suggestion("target", why)
    return found


def _role(name: str, column: Summary) -> Suggestion:
    known = column.rows - column.nulls
    distinct = None if column.counts is None else len(column.counts)
    if not known:
        return Suggestion("leave out", "no values" if column.rows else "")
    if column.family in ("number", "text", "time") and distinct == 1 and known > 1 and not column.nulls:
        return Suggestion("leave out", "always the same")
    if column.family == "number":
        return _number(name, column, distinct)
    if column.family == "text":
        return _text(name, column, known, distinct)
    if column.family == "bytes":
        is_image = any(example.startswith(_IMAGES) or example[8:12] == b"WEBP" for example in column.examples)
        return Suggestion("image") if is_image else Suggestion("leave out", "bytes")
    if column.family == "numbers":
        if column.shortest != column.longest:
            return Suggestion("leave out", f"lists of {column.shortest} to {column.longest} numbers")
        return Suggestion("scale") if _is_wide(column) else Suggestion("number")
    return Suggestion("leave out", "times are no numbers" if column.family == "time" else "no numbers")


def _number(name: str, column: Summary, distinct: int | None) -> Suggestion:
    whole = isinstance(column.least, int)
    if whole and _GROUP.search(name) and (distinct is None or distinct > _FEW_WHOLE):
        return Suggestion("leave out", "an id")
    if whole and not column.repeats and column.rows > 2:
        if _ID.search(name):
            return Suggestion("leave out", "an id")
        if column.most - column.least == column.rows - 1 and column.rows > _LISTED:
            return Suggestion("leave out", "numbers the rows")
    if not column.count:
        return Suggestion("leave out", "no finite values")
    if whole and distinct is not None and _is_class_like(column, distinct):
        return Suggestion("class", "few whole numbers")
    return Suggestion("scale") if _is_wide(column) and distinct != 2 else Suggestion("number")


def _is_class_like(column: Summary, distinct: int) -> bool:
    is_dense = column.least in (0, 1) and column.most < 2 * distinct
    return bool(is_dense and 2 < distinct <= min(_FEW_WHOLE, column.count // 2))


def _is_wide(column: Summary) -> bool:
    """Whether the numbers are far from mean 0 and deviation 1, where a network learns best."""
    std = column.std or 0.0
    return abs(column.mean) > 1 or not 0.2 < std < 3


def _text(name: str, column: Summary, known: int, distinct: int | None) -> Suggestion:
    if column.counts is not None and _is_split(column.counts):
        return Suggestion("split")
    if column.characters / known > _LONG_TEXT:
        return Suggestion("text")
    if not column.repeats and known > _LISTED:
        return Suggestion("leave out", "an id" if _ID.search(name) else "all different")
    if distinct is None or distinct > _MOST_CATEGORIES:
        return Suggestion("leave out", "too many values")
    return Suggestion("categorical")


def _is_split(values: Iterable[str]) -> bool:
    """Whether they say what a row is for: ``train`` and at least another one, and nothing else."""
    sides = {SIDES.get(value.lower()) for value in values}
    return None not in sides and "train" in sides and len(sides) > 1


def _target(columns: Mapping[str, Summary], roles: Mapping[str, Suggestion]) -> tuple[str, str] | None:
    """(name, why): by its name, else the last column if it could be a class or a number."""
    able = [name for name, role in roles.items() if role.role in ("number", "class", "scale", "categorical")]
    images = sum(role.role == "image" for role in roles.values())
    for word in _TARGETS:
        for name in able:
            if name.lower() == word:
                return name, ""
    last = list(columns)[-1] if columns else ""
    if last in able and len(able) + images > 1:
        counts = columns[last].counts
        if counts is not None and len(counts) <= _MOST_CLASSES:
            return last, "the last column, few values"
    return None
