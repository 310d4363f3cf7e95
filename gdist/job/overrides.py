"""``a.b=c`` words from the command line, set in a job with the field's own type."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from gdist.description import Description, nearest
from gdist.errors import JobError, UsageError
from gdist.job.clipping import Clip
from gdist.job.job import Job

_ABSENT: dict[str, type[Description]] = {"clip": Clip}  # what a dotted path makes where the job has None
_ENDS = ("epochs", "steps")  # setting one takes the place of the other


def apply_overrides(job: Job, overrides: Sequence[str]) -> Job:
    """``job`` with each ``path=value`` set, in order. Raises UsageError, naming the word, the field and the nearest name."""
    for word in overrides:
        path, equals, text = word.partition("=")
        if not equals or not path:
            raise UsageError(
                f"`{word}` is no override", where="command line", help="write field=value, such as optimizer.lr=0.003"
            )
        try:
            job = _set_in_job(job, path.split("."), text, overrides)
        except JobError as error:
            raise UsageError(error.what, where=f"command line: {word}", note=error.note, help=error.help) from None
    return job


def _set_in_job(job: Job, path: list[str], text: str, overrides: Sequence[str]) -> Job:
    head, rest = path[0], path[1:]
    if head == "model" and rest:
        value = _typed_argument(job.model, rest[0], text)
        return job.changed(model_args={**job.model_args, rest[0]: value})  # type: ignore[no-any-return]
    if not rest:
        fields: dict[str, Any] = {head: None}
        _require(head, type(job), "")
        if head in _ENDS and not all(any(w.startswith(f"{end}=") for w in overrides) for end in _ENDS):
            fields |= {end: None for end in _ENDS}
        if head in ("micro_batches", "accumulate"):
            fields["micro_batches"] = None
        return _retry(lambda value: job.changed(**{**fields, head: value}), text)
    _require(head, type(job), "")
    current = getattr(job, head)
    if current is None and head in _ABSENT:
        return _retry(lambda value: job.changed(**{head: _ABSENT[head](**{rest[0]: value})}), text)
    return job.changed(**{head: _set(current, rest, text, head)})  # type: ignore[no-any-return]


def _set(target: Any, path: list[str], text: str, at: str) -> Any:
    head, rest = path[0], path[1:]
    if not isinstance(target, BaseModel):
        raise JobError(f"`{at}` has no fields of its own", help=f"set it whole: {at}=...")
    arguments = getattr(target, "args", None)
    if isinstance(arguments, dict) and head not in type(target).model_fields:
        return _changed(target, args={**arguments, head: literal(text)})
    _require(head, type(target), f"{at}.")
    if rest:
        return _changed(target, **{head: _set(getattr(target, head), rest, text, f"{at}.{head}")})
    return _retry(lambda value: _changed(target, **{head: value}), text)


def _changed(target: BaseModel, **fields: Any) -> Any:
    given = {name: getattr(target, name) for name in target.model_fields_set}
    if isinstance(target, Clip):
        given = {}
    return type(target)(**{**given, **fields})


def _retry(make: Any, text: str) -> Any:
    """With the text read as a literal; if that is of the wrong type, as the text it is."""
    value = literal(text)
    try:
        return make(value)
    except JobError:
        if isinstance(value, str):
            raise
        try:
            return make(text)
        except JobError:
            pass
        raise


def _require(name: str, cls: type[BaseModel], prefix: str) -> None:
    if name not in cls.model_fields:
        near = nearest(name, cls.model_fields)
        mend = f"did you mean `{prefix}{near}`? " if near else ""
        raise JobError(f"unknown field `{prefix}{name}`", help=f"{mend}fields: {', '.join(sorted(cls.model_fields))}")


def _typed_argument(model: Any, name: str, text: str) -> Any:
    """A model's argument, as the type of its default or annotation."""
    value = literal(text)
    try:
        parameter = inspect.signature(model).parameters.get(name)
    except (TypeError, ValueError):
        return value
    if parameter is None:
        return value
    default = parameter.default
    wanted = type(default) if default is not parameter.empty and default is not None else None
    if wanted is None:
        wanted = {"int": int, "float": float, "bool": bool, "str": str}.get(
            str(getattr(parameter.annotation, "__name__", parameter.annotation))
        )
    if wanted is str:
        return text
    if wanted is float and type(value) is int:
        return float(value)
    if wanted in (int, float, bool) and type(value) is not wanted:
        raise JobError(f"`model.{name}` cannot be {text!r}: it must be {'an' if wanted is int else 'a'} {wanted.__name__}")
    return value


def literal(text: str) -> Any:
    """None, a truth value, a number, a JSON list or object; else the text itself."""
    words = {"none": None, "null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return [part.strip().strip("'\"") for part in text.strip("[]").split(",") if part.strip()]
    return text
