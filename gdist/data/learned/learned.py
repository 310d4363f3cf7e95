"""What was learned from the training rows, and how it changes columns: the same for training, evaluation and prediction.

Frozen and JSON; floats keep every bit (their shortest repr). Applied to whole columns by reader threads: no loop over rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from gdist.data.learned.recipe import Recipe, Rule, Value

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Converted(NamedTuple):
    """``values``: numbers without nulls; ``bad``: rows to leave out; ``missing``: rows in which a value was filled, for the
    column's indicator. Both shape (rows,), None where no row is."""

    values: pa.Array
    bad: np.ndarray | None
    missing: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class LearnedColumn:
    """One column's rule with what was learned for it.

    ``fill``: a value an element of the row; ``shift``, ``factor``: the same for (x - shift) * factor; ``vocabulary``: sorted;
    ``statistics``: what the training rows showed, for the record.
    """

    rule: Rule
    fill: tuple[Value, ...] | None = None
    shift: tuple[float, ...] | None = None
    factor: tuple[float, ...] | None = None
    vocabulary: tuple[Value, ...] | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def categories(self) -> pa.Array:
        """The vocabulary as Arrow's array, made once."""
        from gdist.data.learned.values import sorted_values

        return sorted_values(self.vocabulary or ())  # type: ignore[arg-type]


@dataclass(frozen=True)
class Learned:
    """``columns``: by name, those for which the job says something; every other column is numbers without gaps."""

    columns: Mapping[str, LearnedColumn] = field(default_factory=dict)

    @classmethod
    def nothing(cls, recipe: Recipe) -> Learned:
        """For a recipe of which nothing need be learned: fills with given values, rows that are left out."""
        assert recipe.empty
        return cls({name: settled(rule) for name, rule in recipe.rules.items()})

    def convert(
        self,
        name: str,
        column: pa.ChunkedArray | pa.Array,
        *,
        where: str,
        first_row: int | np.ndarray = 0,
        skip_bad: bool = False,
    ) -> Converted:
        """The column as numbers: categories as codes (int32), what is missing filled; shape and memory kept where they can be.

        ``first_row``: the number in its file of the column's first row, or each row's (int64). Rows that the job lets drop are
        ``bad``; so are, with ``skip_bad``, those that are otherwise a DataError: missing values that nothing fills, NaN and
        infinity, a target's unknown value. Thread-safe.
        """
        from gdist.data.learned.codes import convert_category
        from gdist.data.learned.gaps import convert_numbers

        learned = self.columns.get(name) or LearnedColumn(rule=Rule(name=name, kind="number"))
        change = convert_category if learned.rule.kind == "category" else convert_numbers
        return change(learned, column, where=where, first_row=first_row, skip_bad=skip_bad)

    def affine(self, columns: Sequence[str], widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
        """(shift, factor) of a tensor of these columns with their indicators, float64, for (x - shift) * factor; None where
        nothing is scaled. Columns that are not scaled have shift 0 and factor 1."""
        import numpy as np

        found = [self.columns.get(name) for name in columns]
        if all(each is None or each.factor is None for each in found):
            return None
        total = sum(widths) + len(self.indicators(columns))
        shift, factor = np.zeros(total), np.ones(total)
        start = 0
        for each, width in zip(found, widths, strict=True):
            if each is not None and each.shift is not None and each.factor is not None:
                shift[start : start + width] = each.shift
                factor[start : start + width] = each.factor
            start += width
        return shift, factor

    def indicators(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Those of a tensor's columns that have an indicator, a 0/1 column at the tensor's end, in this order."""
        return tuple(name for name in columns if name in self.columns and self.columns[name].rule.indicator)

    def categories(self, name: str) -> int | None:
        """How many codes a column has: a target's classes, else its categories and 0 for what is unknown or missing."""
        each = self.columns.get(name)
        if each is None or each.vocabulary is None:
            return None
        return len(each.vocabulary) + (0 if each.rule.target else 1)

    @property
    def text(self) -> tuple[str, ...]:
        """The columns whose categories are text."""
        return tuple(name for name, each in self.columns.items() if each.vocabulary and isinstance(each.vocabulary[0], str))

    def to_json(self) -> dict[str, Any]:
        return {
            name: {key: value for key, value in asdict(each).items() if value is not None}
            for name, each in self.columns.items()
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Learned:
        """What ``to_json`` gave, after any trip through JSON."""
        return cls({name: _column(each) for name, each in content.items()})


def settled(rule: Rule) -> LearnedColumn:
    """What a rule says without any data."""
    return LearnedColumn(rule=rule, fill=(rule.value,) * rule.width if rule.value is not None else None)


def _column(content: Mapping[str, Any]) -> LearnedColumn:
    parts = dict(content)
    rule = Rule(**parts.pop("rule"))
    statistics = parts.pop("statistics", {})
    return LearnedColumn(rule=rule, statistics=statistics, **{key: tuple(value) for key, value in parts.items()})
