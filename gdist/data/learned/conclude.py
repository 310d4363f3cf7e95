"""From the statistics of all training rows to what is applied: fill values, scales, vocabularies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gdist.data.learned.counts import Counts, counts_of
from gdist.data.learned.learned import Learned, LearnedColumn, settled
from gdist.data.learned.median import Median
from gdist.data.learned.recipe import Recipe, Rule, Value
from gdist.data.learned.values import sorted_values
from gdist.errors import DataError

Moments = dict[str, float]


def conclude(
    recipe: Recipe, moments: Mapping[str, Sequence[Moments]], counts: Mapping[str, Sequence[Counts | Median]]
) -> Learned:
    """``moments``, ``counts``: by column, of each of its elements, over all training rows.

    Raises DataError where there is nothing to learn from.
    """
    columns = {}
    for name, rule in recipe.rules.items():
        if not rule.learns:
            columns[name] = settled(rule)
        elif rule.kind == "category":
            columns[name] = _category(rule, counts[name][0])
        else:
            columns[name] = _numbers(rule, moments[name], counts.get(name, ()))
    return Learned(columns)


def _category(rule: Rule, counts: Counts | Median) -> LearnedColumn:
    assert isinstance(counts, Counts)
    vocabulary: list[Any] = counts.vocabulary()
    rows = int(counts_of(counts.table()).sum())
    fill: Any = counts.conclude() if rule.fill == "most_frequent" else rule.value
    if rule.target and not vocabulary:
        raise DataError(f"the target `{rule.name}` has no value in any training row")
    if fill is not None and (fill not in vocabulary or _kind(fill) is not _kind(vocabulary[0])):
        if vocabulary and _kind(vocabulary[0]) is not _kind(fill):
            raise DataError(
                f"`{rule.name}` cannot be filled with {fill!r}: its categories are such as {vocabulary[0]!r}",
                help=f"fill={{{rule.name!r}: {vocabulary[0]!r}}}",
            )
        vocabulary = sorted([*vocabulary, fill])
        try:
            sorted_values(vocabulary)
        except OverflowError:
            raise DataError(
                f"`{rule.name}` cannot be filled with {fill}: no whole number of 64 bits holds all of its categories",
                note=f"they are from {vocabulary[0]} to {vocabulary[-1]}",
            ) from None
    return LearnedColumn(
        rule=rule,
        fill=None if fill is None else (fill,),
        vocabulary=tuple(vocabulary),
        statistics={"rows": rows, "categories": len(vocabulary)},
    )


def _kind(value: Value) -> type:
    return str if isinstance(value, str) else bool if isinstance(value, bool) else float


def _numbers(rule: Rule, moments: Sequence[Moments], counts: Sequence[Counts | Median]) -> LearnedColumn:
    fill: tuple[Value, ...] | None = None
    if rule.fill not in (None, "drop"):
        fill = tuple(_fill(rule, each, counts[j] if counts else None) for j, each in enumerate(moments))
    seen = [_with_fills(each, float(fill[j]) if fill is not None else 0.0) for j, each in enumerate(moments)]
    scales = [_scale(rule, each) for each in seen] if rule.scale is not None else None
    present = [each for each in moments if each["count"]]
    statistics: dict[str, Any] = {
        "rows": int(moments[0]["count"] + moments[0]["missing"]),
        "missing": [int(each["missing"]) for each in moments],
    }
    if len(present) == len(moments):
        statistics |= {
            "mean": [each["mean"] for each in moments],
            "std": [_root(each["squares"] / each["count"]) for each in moments],
            "least": [each["least"] for each in moments],
            "most": [each["most"] for each in moments],
        }
    if rule.fill == "median":
        statistics["exact_median"] = not any(each.coarse for each in counts)
    return LearnedColumn(
        rule=rule,
        fill=fill,
        shift=tuple(shift for shift, _ in scales) if scales is not None else None,
        factor=tuple(factor for _, factor in scales) if scales is not None else None,
        statistics=statistics,
    )


def _fill(rule: Rule, moments: Moments, counts: Counts | Median | None) -> Value:
    if rule.fill == "value":
        assert rule.value is not None
        return rule.value
    if not moments["count"]:
        raise DataError(
            f"column `{rule.name}` has no value in any training row, and so no {str(rule.fill).replace('_', ' ')}",
            help=f"leave the column out, or fill it with a value: fill={{{rule.name!r}: 0}}",
        )
    if rule.fill == "mean":
        return moments["mean"]
    assert counts is not None
    found: Any = counts.conclude()
    return found  # type: ignore[no-any-return]


def _with_fills(moments: Moments, fill: float) -> Moments:
    """The moments of what the model sees: with the filled values, merged as in ``moments.py``."""
    count, missing = moments["count"], moments["missing"]
    if not missing or not count:
        return moments if count else {**moments, "count": missing, "mean": fill, "least": fill, "most": fill}
    delta, total = fill - moments["mean"], count + missing
    return {
        "count": total,
        "missing": 0.0,
        "mean": moments["mean"] + delta * missing / total,
        "squares": moments["squares"] + delta * delta * count * missing / total,
        "least": min(moments["least"], fill),
        "most": max(moments["most"], fill),
    }


def _scale(rule: Rule, seen: Moments) -> tuple[float, float]:
    """(shift, factor), for (x - shift) * factor; a constant has factor 1, as in scikit-learn."""
    if not seen["count"]:
        raise DataError("no training row is left to learn from", help="see what fill='drop' and the split leave")
    width = seen["most"] - seen["least"]
    variance = seen["squares"] / seen["count"]
    if not math.isfinite(width) or not math.isfinite(variance):
        raise DataError(
            f"column `{rule.name}` holds values too large to be scaled: from {seen['least']:g} to {seen['most']:g}",
            help="divide it by a power of ten before",
        )
    if rule.scale == "minmax":
        return seen["least"], 1.0 / width if width else 1.0
    return seen["mean"], 1.0 / math.sqrt(variance) if width and variance else 1.0


def _root(variance: float) -> float | None:
    return math.sqrt(variance) if math.isfinite(variance) else None
