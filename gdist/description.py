"""A description: frozen, typed, validated data of which a job is made (the job itself, an optimizer, a schedule, a source).

Invariant: a wrong description never exists. Whatever is wrong with it is one JobError that names the field, the value,
what is allowed and the nearest right name, and shows the user's own line; pydantic's errors stay inside.
"""

from __future__ import annotations

import difflib
import linecache
import os
import re
import sys
import types
import typing
from collections import abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, TypeVar, Union

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator
from pydantic.fields import FieldInfo

from gdist.errors import JobError

_HERE = str(Path(__file__).resolve().parent) + os.sep
_LISTED = 20  # names, at most, in a message
_BOUNDS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
_SYNONYMS = {  # what others call it, where letters alone would mislead
    "gpu": "cuda",
    "kaiming": "he",
    "glorot": "xavier",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "float32": "fp32",
    "float64": "fp64",
    "double": "fp64",
    "learning_rate": "lr",
    "wd": "weight_decay",
}
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    Path: "a path",
    type(None): "None",
}


@dataclass(frozen=True)
class FieldHelp:
    """What is known of one field: for help, errors and documentation."""

    name: str
    allowed: str
    default: str | None  # None: must be given
    description: str
    words: tuple[str, ...] = ()  # the words that it takes, if it takes words


K = TypeVar("K", bound="Description")


class Description(BaseModel):
    """Base of everything that a job is made of.

    The validation context may hold ``prefix`` (the path of this description inside the job, such as ``optimizer.``) and
    ``where`` (shown instead of the line of Python that made it).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,  # a validator is made when first used: gdist imports fifteen of them and uses four
    )

    @model_validator(mode="wrap")
    @classmethod
    def _speak_plainly(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        context = info.context or {}
        try:
            return handler(data)
        except ValidationError as error:
            if error.errors(include_url=False)[0]["type"] in ("model_type", "model_attributes_type"):
                raise Wrong(
                    f"must be {cls.__name__}(...), not {shown(data)}", help=f"its fields: {', '.join(cls.model_fields)}"
                ) from None
            raise explain(cls, error, prefix=context.get("prefix", ""), where=context.get("where")) from None

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except JobError as error:  # raised by a check of fields that contradict each other
            error.where = error.where or calling_line(None)
            raise

    # As pydantic marks its own: else nested validation would pass through __init__ and lose its context.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def fields(cls) -> dict[str, FieldHelp]:
        """Every field by name, in the order of the class."""
        return {
            name: FieldHelp(
                name=name,
                allowed=allowed(field.annotation, field.metadata),
                default=None if field.is_required() else repr(field.get_default(call_default_factory=True)),
                description=field.description or "",
                words=tuple(choices(field.annotation)),
            )
            for name, field in cls.model_fields.items()
        }

    def given(self) -> dict[str, Any]:
        """The fields that were set explicitly, by name."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    def replace(self, changes: dict[str, Any], *, prefix: str = "", where: str | None = None) -> Self:
        """The same description with some fields changed, validated as a whole; raises JobError."""
        try:
            return type(self).model_validate({**self.given(), **changes}, context={"prefix": prefix, "where": where})
        except JobError as error:
            error.where = error.where or where or calling_line(None)
            raise


def refuse(what: str, *, note: str | None = None, help: str | None = None) -> NoReturn:
    """Raises the JobError of fields that contradict each other; the place is added by the description."""
    raise JobError(what, note=note, help=help)


class Wrong(ValueError):
    """Raised by a field's validator: ``what`` follows the field's name (``must be ..., not ...``)."""

    def __init__(self, what: str, *, note: str | None = None, help: str | None = None) -> None:
        super().__init__(what)
        self.note = note
        self.help = help


def named_kinds(base: type[K]) -> dict[str, type[K]]:
    """Every description below ``base`` that has a ``kind``, by it."""
    below = [kind for child in base.__subclasses__() for kind in named_kinds(child).values()]
    return {str(getattr(each, "kind")): each for each in (base, *below) if getattr(each, "kind", "")}  # noqa: B009


def kind_called(name: str, base: type[K], *, what: str, else_: str = "") -> type[K]:
    """The description below ``base`` whose kind is ``name``, in any case; raises Wrong with the nearest one."""
    names = named_kinds(base)
    if name.lower() in names:
        return names[name.lower()]
    near = nearest(name, names)
    meant = f"did you mean {near!r}? " if near else ""
    raise Wrong(f"must be a known {what}, not {name!r}", help=f"{meant}names: {', '.join(names)}{else_}")


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name that was probably meant, if any."""
    names = list(names)
    if _SYNONYMS.get(name.lower()) in names:
        return _SYNONYMS[name.lower()]
    found = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    if found:
        return next(n for n in names if n.lower() == found[0])
    return None


def unknown(what: str, name: str, names: Sequence[str], *, prefix: str = "", plural: str) -> tuple[str, str]:
    """(what, help) for a name that does not exist: the nearest one, and all of them."""
    near = nearest(name, names)
    all_of_them = f"{plural}: {', '.join(names)}" if names else f"there are no {plural}"
    if len(names) > _LISTED:  # those of a job
        all_of_them = f"{plural}: gdist check --fields"
    return f"unknown {what} `{prefix}{name}`", f"did you mean `{prefix}{near}`? {all_of_them}" if near else all_of_them


def explain(kind: type[Description], error: ValidationError, *, prefix: str = "", where: str | None = None) -> JobError:
    """The first thing that pydantic found wrong, as a JobError."""
    first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    name = str(first["loc"][0]) if first["loc"] else ""
    where = where or calling_line(name)
    of_kind = "" if prefix or kind.__name__ == "Job" else f" of {kind.__name__}"
    if first["type"] == "extra_forbidden":
        what, help = unknown("field", name, list(kind.model_fields), prefix=prefix, plural="all fields")
        return JobError(what + of_kind, where=where, help=help)
    field = kind.model_fields.get(name)
    if field is None:
        return JobError(f"{kind.__name__}: {first['msg']}", where=where)
    if first["type"] == "missing":
        return JobError(f"`{prefix}{name}`{of_kind} is missing", where=where, help=f"{name} = {field.description}")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, Wrong):
        return JobError(f"`{prefix}{name}`{of_kind} {cause}", where=where, note=cause.note, help=cause.help)
    if isinstance(cause, Exception):
        return JobError(f"`{prefix}{name}`{of_kind}: {cause}", where=where)
    return JobError(
        f"`{prefix}{name}`{of_kind} {must_be(field, first['input'])}", where=where, help=_help(name, field, first["input"])
    )


def must_be(field: FieldInfo, value: Any) -> str:
    return f"must be {allowed(field.annotation, field.metadata)}, not {shown(value)}"


def _help(name: str, field: FieldInfo, value: Any) -> str:
    near = nearest(value, choices(field.annotation)) if isinstance(value, str) else None
    return f"did you mean {near!r}?" if near else f"{name} = {field.description}"


def choices(annotation: Any) -> list[str]:
    """The words that a field takes, if it takes words."""
    if typing.get_origin(annotation) is Literal:
        return [c for c in typing.get_args(annotation) if isinstance(c, str)]
    return [c for part in members(annotation) if part is not annotation for c in choices(part)]


def members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return members(typing.get_args(annotation)[0])
    return typing.get_args(annotation) if origin in (Union, types.UnionType) else (annotation,)


def allowed(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What a field takes, in words: ``a whole number >= 1, or "full"``."""
    words = []
    for whole in members(annotation):
        bounds = _bounds([*metadata, *getattr(whole, "__metadata__", ())])
        part = members(whole)[0] if typing.get_origin(whole) is typing.Annotated else whole
        origin = typing.get_origin(part) or part
        if origin is Literal:
            words += [repr(choice) for choice in typing.get_args(part)]
        elif origin in (int, float):
            words.append(_WORDS[origin] + bounds)
        elif origin is dict:
            words.append("a dict")
        elif origin in (list, tuple, abc.Sequence):
            of = [a for a in typing.get_args(part) if a is not Any][:1]
            words.append("a list" + (f" of {_plural(of[0])}" if of else ""))
        elif origin in _WORDS:
            words.append(_WORDS[origin])
        elif origin is abc.Callable:
            words.append("a function")
        elif origin is type:
            words.append("a class")
        elif part is not Any:
            words.append(getattr(part, "__name__", str(part)))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}" if words else "a value"


def _bounds(metadata: Sequence[Any]) -> str:
    constraints = [c for m in metadata for c in (m.metadata if isinstance(m, FieldInfo) else [m])]
    found = [f"{sign} {getattr(c, key)}" for key, sign in _BOUNDS for c in constraints if getattr(c, key, None) is not None]
    return f" {' and '.join(found)}" if found else ""


def _plural(kind: Any) -> str:
    return {str: "names", int: "whole numbers", float: "numbers"}.get(
        kind, f"{kind.__name__}s" if hasattr(kind, "__name__") else "values"
    )


def shown(value: Any) -> str:
    """A value in an error message: short, on one line."""
    if isinstance(value, type | types.FunctionType):
        return f"the {'class' if isinstance(value, type) else 'function'} {value.__name__}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def calling_line(field: str | None) -> str | None:
    """Where the user's own code made the description: ``jobs/x.py:7 in make:  lr=-1,``, the line of ``field`` if it is
    among the lines of the call."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and (
        frame.f_code.co_filename.startswith(_HERE) or "pydantic" in Path(frame.f_code.co_filename).parts
    ):
        frame = frame.f_back
    if frame is None:
        return None
    code = frame.f_code
    first, last = frame.f_lineno, frame.f_lineno
    positions = list(code.co_positions())
    if 0 <= frame.f_lasti // 2 < len(positions):
        first, last = (positions[frame.f_lasti // 2][0] or first), (positions[frame.f_lasti // 2][1] or last)
    lines = range(first, last + 1)
    named = [n for n in lines if field and re.search(rf"\b{re.escape(field)}\s*=(?!=)", linecache.getline(code.co_filename, n))]
    return line_of_code(code.co_filename, named[0] if named else first, code.co_name)


def line_of_code(file: str, line: int, name: str) -> str:
    """``file:line in name:  the source of the line``, the file relative to the working directory where it lies under it."""
    path = Path(file)
    try:
        path = path.resolve().relative_to(Path.cwd()) if path.exists() else path
    except (ValueError, OSError):
        path = Path(file)
    source = linecache.getline(file, line).strip()
    inside = "" if name == "<module>" else f" in {name}"
    return f"{path}:{line}{inside}" + (f":  {source}" if source else "")
