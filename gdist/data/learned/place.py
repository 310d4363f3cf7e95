"""Where in the data a value stands, and what is said of values that no model can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_WORDS = {
    "missing": ("missing value", "missing values"),
    "nan": ("value that is NaN", "values that are NaN"),
    "infinite": ("infinite value", "infinite values"),
}
_MENDS = {
    "missing": "leave those rows out: fill={{{name!r}: 'drop'}}; if it is no target, fill them: fill={{{name!r}: 'median'}}",
    "nan": "leave those rows out: fill={{{name!r}: 'drop'}}; if it is no target, fill them: fill={{{name!r}: 'median'}}",
    "infinite": "mend them at their source; on_bad_rows='skip' leaves those rows out",
}


def row_number(first_row: int | np.ndarray, row: int) -> int:
    """The number in its file of the ``row``-th row at hand."""
    return first_row + row if isinstance(first_row, int) else int(first_row[row])


def unusable(name: str, kind: str, count: int, *, where: str, row: int) -> DataError:
    """The error for ``count`` values of a column that are "missing", "nan" or "infinite", the first in ``row`` of ``where``."""
    what = _WORDS[kind][count != 1]
    place = f"in row {row}" if count == 1 else f"the first in row {row}"
    return DataError(f"column `{name}` has {count:,} {what}, {place}", where=where, help=_MENDS[kind].format(name=name))


def unknown_category(name: str, value: object, count: int, *, where: str, row: int, known: tuple[object, ...]) -> DataError:
    """The error for a target's value that the training rows never had."""
    listed = ", ".join(repr(each) for each in known[:8]) + (f" and {len(known) - 8:,} more" if len(known) > 8 else "")
    place = f"in row {row}" if count == 1 else f"in row {row}, the first of {count:,} such rows"
    return DataError(
        f"the target `{name}` has the value {value!r}, which no training row has, {place}",
        where=where,
        note=f"known: {listed}",
        help="train with rows of that class, or leave those rows out",
    )
