"""The bits of a split: for training, validation and test, which rows are on that side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gdist.data.distinct import Distinct, distinct
from gdist.data.divide import TEST, TRAIN, UNUSED, VALIDATION, by_class, by_group, by_share
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.split import Split, Value

_AT_ONCE = 1 << 20  # rows
_LISTED = 8  # values, at most, in a message


def by_rows(n: int, split: Split, *, seed: int) -> np.ndarray:
    """Of a split that needs no column: uint8, shape (3, ceil(n / 8)), the first row in the lowest bit."""
    import numpy as np

    validation, test = by_share(n, split.shares, seed=seed)
    train = ~(validation | test)
    return np.stack([train, validation, test])


def by_column_s_values(values: Iterable[pa.Array], n: int, split: Split, *, seed: int) -> tuple[np.ndarray, list[str]]:
    """Of a split by a column: the bits likewise, and what the user should know."""
    import numpy as np

    name = split.reads
    assert name is not None
    found = distinct(name, values)
    assert len(found.codes) == n, "a column has a value for each row"
    said: list[str] = []
    if split.column is not None:
        parts = _named(found, split)
    elif split.group is not None:
        if len(found.values) < 2:
            raise DataError(
                f"column `{name}` has one value, {found.values[0]!r}: all rows are one group, which no split may divide",
                help="group by another column, or leave `group` out",
            )
        parts = by_group(found.counts, split.shares, seed=seed)
    else:
        _check_classes(name, found, said)
        return _bits(by_class(found.codes, found.counts, split.shares, seed=seed), n), said
    bits = np.empty((3, -(-n // 8)), dtype=np.uint8)
    for first in range(0, n, _AT_ONCE):
        bits[:, first // 8 : -(-(first + _AT_ONCE) // 8)] = _bits(parts[found.codes[first : first + _AT_ONCE]], n)
    return bits, said


def _bits(parts: np.ndarray, n: int) -> np.ndarray:
    import numpy as np

    return np.stack([np.packbits(parts == part, bitorder="little") for part in (TRAIN, VALIDATION, TEST)])


def _named(found: Distinct, split: Split) -> np.ndarray:
    """The part of each value of the split's column: uint8, shape (values,)."""
    import numpy as np

    parts = np.full(len(found.values), TRAIN if split.train is None else UNUSED, dtype=np.uint8)
    named: dict[int, str] = {}
    for part, role, wanted in (
        (TRAIN, "train", split.train),
        (VALIDATION, "validation", split.validation),
        (TEST, "test", split.test),
    ):
        for value in () if wanted is None else wanted if isinstance(wanted, tuple) else (wanted,):
            place = _find(found, value)
            if place is None:
                raise DataError(
                    f"no row has {value!r} in column `{split.column}`, which the split names for `{role}`",
                    help=f"its values: {_listed(found.values)}",
                )
            if named.setdefault(place, role) != role:
                raise DataError(f"{value!r} of column `{split.column}` is named for `{named[place]}` and for `{role}`")
            parts[place] = part
    return parts


def _find(found: Distinct, value: Value) -> int | None:
    """The place of a value; dates and the like are found by how they are written."""
    for place, there in enumerate(found.values):
        if there == value or (isinstance(value, str) and not isinstance(there, str) and str(there) == value):
            return place
    return None


def _check_classes(name: str, found: Distinct, said: list[str]) -> None:
    rows = len(found.codes)
    if len(found.values) > max(rows // 2, 1):
        raise DataError(
            f"column `{name}` has {len(found.values)} values in {rows} rows: these are no classes to stratify by",
            help="leave `stratify` out, or stratify by a column of classes",
        )
    single = [value for value, count in zip(found.values, found.counts, strict=True) if count == 1]
    if single:
        have = "1 class" if len(single) == 1 else f"{len(single)} classes"
        has = "has" if len(single) == 1 else "have"
        said.append(f"{have} of `{name}` {has} a single row, which stays in training: {_listed(single)}")


def _listed(values: object) -> str:
    assert isinstance(values, list)
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return ", ".join(repr(value) for value in values[:_LISTED]) + more
