"""What a job could make of a column, by its name, type and values (pure); and the line of the job that says so."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gdist.data.survey.summary import Summary

_TARGETS = ("target", "label", "labels", "class", "y", "outcome", "output", "response")
_ID = re.compile(r"(^|_)(id|uuid|guid|key|index|rowid|row_number)$|^unnamed|^__index_level", re.IGNORECASE)
_LONG_TEXT = 40  # characters on average, from where on it is text and no category
_MOST_CATEGORIES = 1000
_MOST_CLASSES = 100
_LISTED = 8
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_SOURCES = {"parquet": "Parquet", "arrow": "Arrow", "csv": "CSV", "json_lines": "JSONLines"}


class Suggestion(NamedTuple):
    """``role``: target, number, scale, categorical, text, image or leave out; ``why`` in a few words, or nothing."""

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


def data_line(
    path: str | Sequence[str], format: str, columns: Mapping[str, Summary], roles: Mapping[str, Suggestion], **given: object
) -> str:
    """``data=...`` for a job; ``given``: what the user said for the files to be read."""
    texts = [name for name, role in roles.items() if role.role == "text"]
    target = next((name for name, role in roles.items() if role.role == "target"), None)
    used = [name for name, role in roles.items() if role.role in ("number", "scale", "categorical", "image")]
    parts = [f"path={json.dumps(path, ensure_ascii=False)}"]
    if texts and not used:
        return f"data=Text({parts[0]}, column={json.dumps(texts[0])})"
    if target is not None:
        parts.append(f"target={json.dumps(target, ensure_ascii=False)}")
    if len(used) + (target is not None) < len(columns) and used:
        parts.append(f"features={_chosen(used, list(columns))}")
    categories = [name for name in used if roles[name].role == "categorical"]
    if categories:
        parts.append(f"categories={_chosen(categories, list(columns))}")
    if any(roles[name].role == "scale" for name in used):
        parts.append('scale="standardize"')
    if any(columns[name].nulls or columns[name].nans for name in used):
        parts.append(f"fill={_fill(used, columns, roles)}")
    parts += [f"{name}={_python(value)}" for name, value in given.items()]
    return f"data={_SOURCES[format]}({', '.join(parts)})"


def _python(value: object) -> str:
    if isinstance(value, (str, list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


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
    if whole and not column.repeats and column.rows > 2:
        if _ID.search(name):
            return Suggestion("leave out", "an id")
        if column.most - column.least == column.rows - 1 and column.rows > _LISTED:
            return Suggestion("leave out", "numbers the rows")
    if not column.count:
        return Suggestion("leave out", "no finite values")
    return Suggestion("scale") if _is_wide(column) and distinct != 2 else Suggestion("number")


def _is_wide(column: Summary) -> bool:
    """Whether the numbers are far from mean 0 and deviation 1, where a network learns best."""
    std = column.std or 0.0
    return abs(column.mean) > 1 or not 0.2 < std < 3


def _text(name: str, column: Summary, known: int, distinct: int | None) -> Suggestion:
    if column.characters / known > _LONG_TEXT:
        return Suggestion("text")
    if not column.repeats and known > _LISTED:
        return Suggestion("leave out", "an id" if _ID.search(name) else "all different")
    if distinct is None or distinct > _MOST_CATEGORIES:
        return Suggestion("leave out", "too many values")
    return Suggestion("categorical")


def _target(columns: Mapping[str, Summary], roles: Mapping[str, Suggestion]) -> tuple[str, str] | None:
    """(name, why): by its name, else the last column if it could be a class or a number."""
    able = [name for name, role in roles.items() if role.role in ("number", "scale", "categorical")]
    for word in _TARGETS:
        for name in able:
            if name.lower() == word:
                return name, ""
    last = list(columns)[-1] if columns else ""
    if last in able and len(able) > 1:
        counts = columns[last].counts
        if counts is not None and len(counts) <= _MOST_CLASSES:
            return last, "the last column, few values"
    return None


def _chosen(names: Sequence[str], available: Sequence[str]) -> str:
    """As few words as say it: patterns where columns are numbered, such as x_*."""
    words: dict[str, None] = {}
    for name in names:
        stem = re.sub(r"\d+$", "", name)
        matched = fnmatch.filter(available, f"{stem}*") if stem and stem != name else []
        words[f"{stem}*" if len(matched) > 1 and set(matched) <= set(names) else name] = None
    if len(words) == 1:
        return json.dumps(next(iter(words)), ensure_ascii=False)
    return json.dumps(list(words), ensure_ascii=False)


def _fill(used: Sequence[str], columns: Mapping[str, Summary], roles: Mapping[str, Suggestion]) -> str:
    lacking = [name for name in used if columns[name].nulls or columns[name].nans]
    kinds = {name: "most_frequent" if roles[name].role == "categorical" else "median" for name in lacking}
    if len(set(kinds.values())) == 1:
        return json.dumps(next(iter(kinds.values())))
    return json.dumps(kinds, ensure_ascii=False)
