"""What is known of a column's values: made of parts of its rows, and merged in their order.

Means and deviations are merged in float64 (Chan, Golub and LeVeque 1983); distinct values are counted up to ``MOST_DISTINCT``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from gdist.data.images import shape_of
from gdist.data.learned import moments

if TYPE_CHECKING:
    import pyarrow as pa

Family = Literal["number", "text", "bytes", "time", "numbers", "other"]  # numbers: a list of them in each row

MOST_DISTINCT = 10_000
_EXAMPLES = 3
_ZEROS = re.compile(r"\.0+(?=Z?$)")  # of a time: fractions of a second that are none
_EXAMPLE_BYTES = 16  # of a value in bytes, as much as tells an image


@dataclass
class Summary:
    """``least`` and ``most`` of numbers and times; ``counts`` None: there are more distinct values than are counted."""

    family: Family
    rows: int = 0
    nulls: int = 0
    nans: int = 0
    infinite: int = 0
    count: int = 0  # finite numbers, those in lists too
    mean: float = 0.0
    squares: float = 0.0  # sum of the squared distances from the mean
    least: Any = None
    most: Any = None
    counts: Counter[Any] | None = field(default_factory=Counter)
    repeats: bool = False  # whether some value was seen twice in one part
    characters: int = 0  # of all texts
    shortest: int | None = None  # length of lists
    longest: int | None = None
    examples: list[Any] = field(default_factory=list)
    image: tuple[int, int, int] | None = None  # (channels, height, width) of an encoded image

    @property
    def std(self) -> float | None:
        """Of the numbers themselves, not an estimate: divided by their count."""
        return math.sqrt(self.squares / self.count) if self.count else None

    def merge(self, other: Summary) -> None:
        """Takes in what is known of the rows that follow."""
        count, delta = self.count + other.count, other.mean - self.mean
        if other.count:
            self.squares += other.squares + delta * delta * self.count * other.count / count
            self.mean += delta * other.count / count
        if self.counts is not None and other.counts is not None:
            self.counts.update(other.counts)
        self.counts = None if self.counts is None or other.counts is None or len(self.counts) > MOST_DISTINCT else self.counts
        for name in ("rows", "nulls", "nans", "infinite", "count", "characters"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, better in (("least", min), ("most", max), ("shortest", min), ("longest", max)):
            known = [value for value in (getattr(self, name), getattr(other, name)) if value is not None]
            setattr(self, name, better(known) if known else None)
        self.repeats |= other.repeats
        self.image = self.image or other.image
        self.examples = list(dict.fromkeys([*self.examples, *other.examples]))[:_EXAMPLES]


def family(kind: pa.DataType) -> Family:
    import pyarrow.types as is_

    kind = kind.value_type if is_.is_dictionary(kind) else kind
    if is_.is_integer(kind) or is_.is_floating(kind) or is_.is_boolean(kind) or is_.is_decimal(kind):
        return "number"
    if is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind):
        return "text"
    if is_.is_binary(kind) or is_.is_large_binary(kind) or is_.is_fixed_size_binary(kind) or is_.is_binary_view(kind):
        return "bytes"
    if is_.is_temporal(kind) and not (is_.is_duration(kind) or is_.is_interval(kind)):
        return "time"
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        return "numbers" if family(kind.value_type) in ("number", "numbers") else "other"
    if is_.is_struct(kind) and kind.get_field_index("bytes") >= 0:  # an image, as Hugging Face stores it
        return "bytes"
    return "other"


def summarize(column: pa.ChunkedArray, *, distinct: bool = True) -> Summary:
    """Of one part of a column's rows; not ``distinct`` where there are known to be too many distinct values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = Summary(family(column.type), rows=len(column), nulls=column.null_count)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    views = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}  # which few of pyarrow's functions take
    if column.type in views:
        column = column.cast(views[column.type])
    values = column.drop_null()
    if found.family in ("number", "numbers"):
        if found.family == "numbers":
            values = _flattened(found, values)
        _add_numbers(found, values)
    if found.family == "text":
        found.characters = pc.sum(pc.utf8_length(values)).as_py() or 0
    if found.family == "time" and len(values):
        ends = pc.min_max(values)
        found.least, found.most = (_ZEROS.sub("", ends[end].cast(pa.string()).as_py()) for end in ("min", "max"))
    if found.family in ("number", "text", "time") and distinct:
        _add_distinct(found, values)
    else:
        found.counts = None
    if found.family == "bytes":
        if not pa.types.is_struct(values.type):
            found.image = next(map(shape_of, values.slice(0, 1).to_pylist()), None)
        else:
            values = pc.struct_field(values, "bytes")
        found.examples = [value[:_EXAMPLE_BYTES] for value in values.slice(0, _EXAMPLES).to_pylist() if value is not None]
    return found


def _flattened(found: Summary, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The numbers in the lists; notes how long the outermost are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(values):
        lengths = pc.min_max(pc.list_value_length(values)).as_py()
        found.shortest, found.longest = lengths["min"], lengths["max"]
        found.examples = [_list_shown(values[0].as_py())]
    while pa.types.is_nested(values.type):
        values = pc.list_flatten(values)
    return values.drop_null()


def _add_numbers(found: Summary, values: pa.ChunkedArray) -> None:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    parts = [np.asarray(chunk) for chunk in values.chunks]
    numbers = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0)
    if numbers.dtype.kind == "f":
        finite = np.isfinite(numbers)
        if not finite.all():
            found.nans = int(np.isnan(numbers).sum())
            found.infinite = len(numbers) - int(finite.sum()) - found.nans
            numbers = numbers[finite]
    part = moments.neutral(1)
    moments.add_column(part, 0, numbers, None, 1)
    if len(numbers):
        found.count, found.mean, found.squares = len(numbers), float(part["mean"][0]), float(part["squares"][0])
        found.least, found.most = numbers.min().item(), numbers.max().item()


def _add_distinct(found: Summary, values: pa.ChunkedArray) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    few = values.slice(0, 2 * MOST_DISTINCT)  # where most values differ, they tell
    counted = pc.value_counts(few)
    found.repeats = len(counted) < len(few)
    if len(counted) <= MOST_DISTINCT and len(few) < len(values):
        counted = pc.value_counts(values)
        found.repeats = True
    shown = counted.field("values")
    if found.family == "time":  # nanoseconds have no Python type
        shown = shown.cast(pa.string())
    found.examples = shown.slice(0, _EXAMPLES).to_pylist()
    if len(counted) > MOST_DISTINCT:
        found.counts = None
    else:
        found.counts = Counter(dict(zip(shown.to_pylist(), counted.field("counts").to_pylist(), strict=True)))


def _list_shown(values: list[Any]) -> str:
    numbers = values
    while numbers and isinstance(numbers[0], list):
        numbers = numbers[0]
    return "[" + ", ".join(f"{number:g}" if isinstance(number, float) else str(number) for number in numbers[:4]) + ", ...]"
