"""What is to be learned of which column before a model can train: fill values, scales, vocabularies.

A recipe is a pure function of the schema and of the job's words (``scale``, ``fill``, ``indicators``, ``categories``): it
touches no data. A target of text is a category by itself, other columns are where ``categories`` names them.
A word given alone is for the features ("drop" for every column used); a dict says it column by column.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from gdist.data.columns import Choice, choose, choose_all
from gdist.description import nearest
from gdist.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Scale = Literal["standardize", "minmax"]
FillWord = Literal["mean", "median", "most_frequent", "drop"]
Value = bool | int | float | str
Kind = Literal["number", "category", "other"]  # other: neither, such as text that no one named a category, or images

SCALES: tuple[str, ...] = get_args(Scale)
FILLS: tuple[str, ...] = get_args(FillWord)
_WORDS = ", ".join(map(repr, FILLS))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One column's part of a recipe. ``width``: numbers a row; ``value``: what ``fill="value"`` fills with."""

    name: str
    kind: Kind
    width: int = 1
    target: bool = False
    scale: Scale | None = None
    fill: FillWord | Literal["value"] | None = None
    value: Value | None = None
    indicator: bool = False

    @property
    def learns(self) -> bool:
        """Whether something of it must be learned from the rows."""
        return self.kind == "category" or self.scale is not None or self.fill in ("mean", "median", "most_frequent")


@dataclass(frozen=True)
class Recipe:
    """``rules``: by column, only those that differ from plain numbers without gaps."""

    rules: Mapping[str, Rule]

    @classmethod
    def of(
        cls,
        schema: pa.Schema,
        *,
        features: Choice | None = None,
        target: Choice | None = None,
        extra: Mapping[str, Choice] | None = None,
        scale: Scale | Mapping[str, Scale] | None = None,
        fill: Value | Mapping[str, Value] | None = None,
        indicators: bool = False,
        categories: Choice = (),
        where: str = "the data",
    ) -> Recipe:
        """The rules of the columns that the tensors use; ``features=None``: all that the others leave.

        Raises DataError for a column that is not there, a word that is none, and a setting that cannot act.
        """
        names = schema.names
        chosen = choose_all(names, features=features, target=target, extra=extra or {}, where=where)
        seen, said = chosen.pop("features"), chosen.pop("target", [])
        further = [name for columns in chosen.values() for name in columns]
        used = list(dict.fromkeys([*seen, *said, *further]))
        named = set(choose(categories, used, where=where, role="categories")) if categories else set()
        rules = {name: _plain(schema.field(name), named=name in named, target=name in said, where=where) for name in used}
        for name in said:
            if rules[name].kind == "category" and name in {*seen, *further}:
                raise DataError(f"the category `{name}` is the target and another tensor at once", where=where)
        for name, word in _by_column(scale, "scale", rules, seen=seen, where=where).items():
            rules[name] = replace(rules[name], scale=word)
        for name, given in _by_column(fill, "fill", rules, seen=seen, where=where).items():
            rules[name] = replace(rules[name], **_filled(given))
        gaps = [name for name, rule in rules.items() if rule.fill not in (None, "drop")]
        if indicators and not gaps:
            raise DataError(
                "`indicators` cannot act: no column is filled", where=where, help="set fill=, such as fill={'age': 'median'}"
            )
        for name in gaps if indicators else ():
            rules[name] = replace(rules[name], indicator=True)
        plain = {name: Rule(name=name, kind=rule.kind, width=rule.width) for name, rule in rules.items()}
        return cls({name: rule for name, rule in rules.items() if rule.kind == "category" or rule != plain[name]})

    @property
    def empty(self) -> bool:
        """Whether no row need be read: nothing is to be learned."""
        return not any(rule.learns for rule in self.rules.values())

    @property
    def columns(self) -> tuple[str, ...]:
        """What the statistics pass reads; a column that only drops rows too, for those rows are not learned from."""
        return tuple(name for name, rule in self.rules.items() if rule.learns or rule.fill == "drop")

    def is_category(self, name: str) -> bool:
        return name in self.rules and self.rules[name].kind == "category"

    def indicators(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Those of a tensor's columns that have an indicator: 0/1 columns at the tensor's end, in this order."""
        return tuple(name for name in columns if name in self.rules and self.rules[name].indicator)

    def fingerprint(self) -> str:
        text = json.dumps([asdict(rule) for rule in self.rules.values()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(field: pa.Field, *, named: bool, target: bool, where: str) -> Rule:
    """A column's rule before any word about it."""
    import pyarrow.types as is_

    kind, width = field.type, 1
    while is_.is_fixed_size_list(kind):
        kind, width = kind.value_type, width * kind.list_size
    text = is_.is_string(kind) or is_.is_large_string(kind) or is_.is_dictionary(kind)
    number = is_.is_integer(kind) or is_.is_floating(kind) or is_.is_boolean(kind)
    if not named and not (target and text):
        return Rule(name=field.name, kind="number" if number else "other", width=width)
    if width != 1 or not (text or number):
        what, help = (
            ("lists of categories", "make each element a column") if width != 1 else (str(field.type), "write it as string")
        )
        raise DataError(f"column `{field.name}` holds {what}, which have no codes", where=where, help=help)
    return Rule(name=field.name, kind="category", target=target)


def _by_column(
    said: Any, what: Literal["scale", "fill"], rules: Mapping[str, Rule], *, seen: Sequence[str], where: str
) -> dict[str, Any]:
    """The word for each column. Patterns and single words pass over columns that they cannot be for; a name may not."""
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        if what == "fill" and isinstance(said, str) and said not in FILLS:
            near = nearest(said, FILLS)
            raise DataError(
                f"`fill`={said!r} is no word of its",
                where=where,
                help=(f"did you mean {near!r}? " if near else "")
                + f"the words are {_WORDS}; a text by column: fill={{'city': ...}}",
            )
        chosen = {name: said for name in (rules if said == "drop" else seen) if _objection(what, said, rules[name]) is None}
        if not chosen:
            first = _objection(what, said, rules[seen[0]]) if seen else "there are no features"
            raise DataError(f"`{what}`={said!r} cannot act: {first}", where=where)
        return chosen
    found: dict[str, Any] = {}
    for pattern, word in said.items():
        columns = choose(pattern, list(rules), where=where, role=what)
        objections = {name: _objection(what, word, rules[name]) for name in columns}
        fitting = [name for name, objection in objections.items() if objection is None]
        text = isinstance(word, str) and word not in (*FILLS, *SCALES)  # a misspelt word must not become a category's value
        if not fitting or (text and len(fitting) < len(columns)):
            first = next(objection for objection in objections.values() if objection is not None)
            raise DataError(f"`{what}`={{{pattern!r}: {word!r}}} cannot act: {first}", where=where)
        found.update(dict.fromkeys(fitting, word))
    return found


def _objection(what: str, word: Any, rule: Rule) -> str | None:
    """Why a column cannot be scaled or filled so; None if it can."""
    if rule.kind == "other":
        return f"`{rule.name}` holds no numbers, and `categories` does not name it"
    if rule.width == 0:
        return f"`{rule.name}` holds lists without elements"
    category = f"`{rule.name}` is a category"
    if what == "scale":
        if word not in SCALES:
            return f"the words are {', '.join(map(repr, SCALES))}"
        return f"{category}, whose codes are no measure" if rule.kind == "category" else None
    if word in FILLS and isinstance(word, str):
        return f"{category}, which has no {word}" if word in ("mean", "median") and rule.kind == "category" else None
    if isinstance(word, str) and rule.kind == "number":
        return f"`{rule.name}` holds numbers; the words are {_WORDS}, or a number"
    if isinstance(word, float) and not math.isfinite(word):
        return "the value must be finite"
    if not isinstance(word, Value):
        return f"{word!r} is neither a word nor a value"
    return None


def _filled(given: Value) -> dict[str, Any]:
    return {"fill": given} if isinstance(given, str) and given in FILLS else {"fill": "value", "value": given}
