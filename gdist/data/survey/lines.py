"""The lines of a job that say what is suggested for the columns, and what a user must add (pure)."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence

from gdist.data.formats.guess import SOURCES
from gdist.data.survey.suggest import SIDES, Suggestion
from gdist.data.survey.summary import Summary

_ROLES = ("number", "class", "scale", "categorical")  # of columns that can stand side by side in the features


def data_line(
    path: str | Sequence[str], format: str, columns: Mapping[str, Summary], roles: Mapping[str, Suggestion], **given: object
) -> str:
    """``data=...`` for a job; ``given``: what the user said for the files to be read."""
    texts = _of(roles, "text")
    target = next(iter(_of(roles, "target")), None)
    image = _image(columns, roles)
    used = _of(roles, *_ROLES) if image is None else [image]
    parts = [f"path={_word(path)}"]
    if texts and not used:
        return f"data=Text({parts[0]}, column={_word(texts[0])})"
    if target is not None:
        parts.append(f"target={_word(target)}")
    if image is not None:
        parts += [f"features={_word(image)}", f"shape={columns[image].image}"]
    elif used and len(used) + (target is not None) < len(columns):
        parts.append(f"features={_chosen(used, [name for name in columns if name != target])}")
    categories = [name for name in used if roles[name].role == "categorical"]
    if categories:
        parts.append(f"categories={_chosen(categories, list(columns))}")
    if any(roles[name].role == "scale" for name in used):
        parts.append(f"scale={_scale(used, columns, roles)}")
    if image is None and any(columns[name].nulls or columns[name].nans for name in used):
        parts.append(f"fill={_fill(used, columns, roles)}")
    parts += [f"{name}={_python(value)}" for name, value in given.items()]
    return f"data={SOURCES[format]}({', '.join(parts)})"


def split_line(columns: Mapping[str, Summary], roles: Mapping[str, Suggestion]) -> str | None:
    """``validation=Split(column=...)``, where a column says which rows validate and test."""
    for name in _of(roles, "split"):
        said = [f"column={_word(name)}"]
        for side in ("validation", "test"):
            values = sorted(value for value in columns[name].counts or () if SIDES[value.lower()] == side)
            if values:
                said.append(f"{side}={_word(values[0] if len(values) == 1 else values)}")
        return f"validation=Split({', '.join(said)})"
    return None


def remarks(columns: Mapping[str, Summary], roles: Mapping[str, Suggestion]) -> list[str]:
    """What the lines leave to the user."""
    images, found = _of(roles, "image"), _image(columns, roles)
    others = _of(roles, *_ROLES)
    said = []
    if images and found is None:
        said.append(f"the images in `{images[0]}` are features of their own: features={_word(images[0])}, "
                    "shape=(channels, height, width)")  # fmt: skip
    elif found is not None and (others or len(images) > 1):
        left = [name for name in (*others, *images) if name != found]
        said.append(f"images are features alone; left out: {', '.join(f'`{name}`' for name in left[:8])}"
                    + (" ..." if len(left) > 8 else ""))  # fmt: skip
    if not (others or images or _of(roles, "text")):
        said.append("no column is left for the features")
    return said


def _of(roles: Mapping[str, Suggestion], *wanted: str) -> list[str]:
    return [name for name, role in roles.items() if role.role in wanted]


def _image(columns: Mapping[str, Summary], roles: Mapping[str, Suggestion]) -> str | None:
    """The first column of images of a known shape."""
    return next((name for name in _of(roles, "image") if columns[name].image is not None), None)


def _word(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _python(value: object) -> str:
    return _word(value) if isinstance(value, (str, list, tuple, dict)) else repr(value)


def _chosen(names: Sequence[str], available: Sequence[str]) -> str:
    words = _patterns(names, available)
    return _word(words[0] if len(words) == 1 else words)


def _patterns(names: Sequence[str], available: Sequence[str]) -> list[str]:
    """As few words as say it: patterns where columns are numbered, such as x_*."""
    words: dict[str, None] = {}
    for name in names:
        stem = re.sub(r"\d+$", "", name)
        matched = fnmatch.filter(available, f"{stem}*") if stem and stem != name else []
        words[f"{stem}*" if len(matched) > 1 and set(matched) <= set(names) else name] = None
    return list(words)


def _scale(used: Sequence[str], columns: Mapping[str, Summary], roles: Mapping[str, Suggestion]) -> str:
    """One word for all numbers, unless some of them may be classes."""
    if not any(roles[name].role == "class" for name in used):
        return _word("standardize")
    scaled = [name for name in used if roles[name].role == "scale"]
    return _word(dict.fromkeys(_patterns(scaled, list(columns)), "standardize"))


def _fill(used: Sequence[str], columns: Mapping[str, Summary], roles: Mapping[str, Suggestion]) -> str:
    lacking = [name for name in used if columns[name].nulls or columns[name].nans]
    kinds = {name: "most_frequent" if roles[name].role in ("categorical", "class") else "median" for name in lacking}
    if len(set(kinds.values())) == 1:
        return _word(next(iter(kinds.values())))
    return _word(kinds)
