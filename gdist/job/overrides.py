"""``a.b=c`` words from the command line, set in a job with the type of the field.

    optimizer.lr=3e-4   optimizer=sgd   schedule.warmup=100   clip.norm=1   model.width=64   metrics=accuracy,f1

Invariant: the order of the words does not matter, except that of two words for one field the later counts. Whole fields
(``optimizer=sgd``) are set before fields of theirs; all are judged together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from gdist.data.source import Source
from gdist.data.split import Split
from gdist.description import Description, Wrong, nearest, unknown
from gdist.errors import JobError, UsageError
from gdist.job.agreement import model_arguments, unknown_argument
from gdist.job.clipping import Clip
from gdist.job.job import Job
from gdist.job.words import read, read_argument, read_freely
from gdist.optim import Optimizer, as_optimizer, named_optimizers
from gdist.optim.choose import optimizer_class
from gdist.optim.custom import Custom, arguments_of
from gdist.schedule import Schedule, as_schedule, named_schedules
from gdist.schedule.schedule import schedule_class

_INSTEAD = {"epochs": "steps", "steps": "epochs", "accumulate": "micro_batches", "micro_batches": "accumulate"}
_MADE_WHEN_NONE: dict[str, type[Description]] = {"clip": Clip}
_DATA_OR_SHARE = ("validation", "test")


class _SplitFields(dict[str, Any]):
    """The fields of a split, judged together once all words are known."""


class Word(NamedTuple):
    """One override: ``path=text``."""

    path: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        return f"command line: {'.'.join(self.path)}={self.text}"


def apply_overrides(job: Job, overrides: Sequence[str]) -> Job:
    """``job`` with the words applied, validated as a whole. Raises UsageError that names the word, the field, what is allowed
    and the nearest right name."""
    words = [_word(text) for text in overrides]
    changes: dict[str, Any] = {}
    for word in sorted(words, key=lambda word: len(word.path) > 1):
        try:
            _apply(job, changes, word)
        except Wrong as error:
            _refuse(f"`{'.'.join(word.path)}` {error}", word, note=error.note, help=error.help)
        except JobError as error:
            raise UsageError(error.what, where=word.where, note=error.note, help=error.help) from None
    if not changes:
        return job
    # What takes another's place on the command line takes the place of what the file says.
    for name in [name for name in _INSTEAD if name in changes]:
        if _INSTEAD[name] not in changes:
            changes[_INSTEAD[name]] = None
    try:
        if isinstance(changes.get("validation"), _SplitFields):
            changes["validation"] = Split.model_validate(changes["validation"], context={"prefix": "validation."})
        return job.replace(changes)
    except JobError as error:
        raise UsageError(error.what, where=_blamed(words, error.what), note=error.note, help=error.help) from None


def _word(text: str) -> Word:
    path, equals, value = text.partition("=")
    if not equals or not path or not all(path.split(".")):
        raise UsageError(
            f"`{text}` sets nothing", where=f"command line: {text}", help="write field=value, such as optimizer.lr=0.003"
        )
    return Word(tuple(path.strip().split(".")), value.strip())


def _apply(job: Job, changes: dict[str, Any], word: Word) -> None:
    head, rest = word.path[0], word.path[1:]
    if head not in Job.model_fields:
        _unknown_field(job, head, word)
    current = changes.get(head, getattr(job, head))
    if head in ("model", "model_args") and rest:
        _set_argument(job, changes, word, rest)
    elif head == "model_args":
        _refuse("`model_args` is set one by one", word, help="model.NAME=value")
    elif head == "validation" and len(rest) == 1 and not isinstance(current, Source):
        changes[head] = _split_fields(current, rest[0], word)
    elif rest:
        changes[head] = _changed(current, rest, word, at=head)
    elif head == "optimizer":
        kind = optimizer_class(word.text)
        changes[head] = current if type(current) is kind else as_optimizer(word.text)
    elif head == "schedule":
        schedule = schedule_class(word.text)
        changes[head] = current if type(current) is schedule else as_schedule(word.text)
    elif head == "data" or (head in _DATA_OR_SHARE and read(word.text, float | None) is None and not _is_none(word.text)):
        own = ", ".join(f"{head}.{name}" for name in type(current).model_fields) if isinstance(current, Description) else ""
        _refuse(f"`{head}` cannot be set whole to {word.text!r}", word, help=f"set its fields: {own}" if own else None)
    elif head not in _DATA_OR_SHARE and (isinstance(current, Description) or head in _MADE_WHEN_NONE):
        if not (_is_none(word.text) and head in _MADE_WHEN_NONE):
            kind_of = type(current) if isinstance(current, Description) else _MADE_WHEN_NONE[head]
            fields = ", ".join(f"{head}.{name}" for name in kind_of.model_fields)
            _refuse(f"`{head}` has fields of its own", word, help=f"set one: {fields}")
        changes[head] = None
    else:
        changes[head] = _read(Job, head, word, prefix="")


def _changed(current: Any, rest: tuple[str, ...], word: Word, *, at: str) -> Any:
    """``current`` with the field at the path ``rest`` set; a description or a dict."""
    name = rest[0]
    if current is None and at in _MADE_WHEN_NONE:
        kind = _MADE_WHEN_NONE[at]
        _known(kind, name, word, at=at)
        return kind.model_validate({name: _read(kind, name, word, prefix=f"{at}.")}, context=_context(at, word))
    if isinstance(current, dict):
        return {**current, ".".join(rest): read_freely(word.text)}
    if not isinstance(current, Description):
        shown = "None" if current is None else f"{current!r}"
        _refuse(f"`{at}` is {shown}: it has no field `{name}`", word, help=f"set it in the job file, or whole: {at}=...")
    kind = type(current)
    if isinstance(current, Custom) and name not in kind.model_fields and len(rest) == 1:
        return current.replace(
            {"arguments": {**current.arguments, name: _custom_argument(current, name, word)}}, prefix=f"{at}.", where=word.where
        )
    _known(kind, name, word, at=at)
    value = (
        _changed(getattr(current, name), rest[1:], word, at=f"{at}.{name}")
        if len(rest) > 1
        else _read(kind, name, word, prefix=f"{at}.")
    )
    if isinstance(current, Clip):  # norm takes the place of value
        return Clip.model_validate({name: value}, context=_context(at, word))
    return current.replace({name: value}, prefix=f"{at}.", where=word.where)


def _split_fields(current: Any, name: str, word: Word) -> _SplitFields:
    """What the job says of its split, a share or nothing included, with one field set."""
    _known(Split, name, word, at="validation")
    if isinstance(current, Split):
        current = current.given()
    said = current if isinstance(current, dict) else {"share": current}
    return _SplitFields({**said, name: _read(Split, name, word, prefix="validation.")})


def _custom_argument(current: Custom, name: str, word: Word) -> Any:
    taken = arguments_of(current.make_from)
    if taken is not None and name not in taken:
        what, help = unknown("field", name, [*taken, *Custom.model_fields], prefix="optimizer.", plural="fields")
        _refuse(what, word, note=f"the optimizer is {current.title}", help=help)
    return read_argument(word.text, current.make_from, name)


def _set_argument(job: Job, changes: dict[str, Any], word: Word, rest: tuple[str, ...]) -> None:
    name = ".".join(rest)
    arguments = model_arguments(job.model)
    if arguments is not None and name not in arguments:
        what, help = unknown_argument(name, arguments)
        _refuse(what, word, help=help)
    args = changes.get("model_args", job.model_args)
    changes["model_args"] = {**args, name: read_argument(word.text, job.model, name)}


def _read(kind: type[Description], name: str, word: Word, *, prefix: str) -> Any:
    field = kind.model_fields[name]
    try:
        return read(word.text, field.annotation, strictly=True)
    except Wrong:
        raise
    except ValueError:
        help = kind.fields()[name]
        near = nearest(word.text, help.words)
        _refuse(
            f"`{prefix}{name}` must be {help.allowed}, not {word.text!r}",
            word,
            help=f"did you mean {near!r}?" if near else f"{name} = {help.description}",
        )


def _known(kind: type[Description], name: str, word: Word, *, at: str) -> None:
    if name in kind.model_fields:
        return
    what, help = unknown("field", name, list(kind.model_fields), prefix=f"{at}.", plural=f"fields of {at}")
    note = None
    families: list[tuple[type[Description], dict[str, Any]]] = [
        (Optimizer, named_optimizers()),
        (Schedule, named_schedules()),
    ]
    for base, names in families:
        if issubclass(kind, base):
            having = [other for other, each in names.items() if name in each.model_fields]
            note = f"the {at} is {getattr(kind, 'kind', '')}"
            help = f"{at}={having[0]} {at}.{name}={word.text} (has it: {', '.join(having)})" if having else help
    _refuse(what, word, note=note, help=help)


def _unknown_field(job: Job, name: str, word: Word) -> NoReturn:
    """Looks one level down as well: ``lr=0.1`` means ``optimizer.lr=0.1``."""
    inner = [
        f"{head}.{name}"
        for head in Job.model_fields
        for kind in [_MADE_WHEN_NONE.get(head) or type(getattr(job, head))]
        if issubclass(kind, Description) and name in kind.model_fields
    ]
    if name in (model_arguments(job.model) or {}):
        inner.insert(0, f"model.{name}")
    what, help = unknown("field", name, list(Job.model_fields), plural="all fields")
    _refuse(what, word, help=f"did you mean `{inner[0]}`? {help[help.find('all fields') :]}" if inner else help)


def _context(at: str, word: Word) -> dict[str, str]:
    return {"prefix": f"{at}.", "where": word.where}


def _is_none(text: str) -> bool:
    return text.lower() in ("none", "null", "")


def _blamed(words: list[Word], what: str) -> str:
    """The words that an error speaks of; all of them if it names none."""
    named = [word for word in words if re.search(rf"\b{re.escape(word.path[0])}\b", what)]
    return "command line: " + " ".join(f"{'.'.join(word.path)}={word.text}" for word in named or words)


def _refuse(what: str, word: Word, *, note: str | None = None, help: str | None = None) -> NoReturn:
    raise UsageError(what, where=word.where, note=note, help=help)
