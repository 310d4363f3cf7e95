"""Numbers with gaps: what is missing (null, or NaN where the column is filled) is filled, dropped or an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gdist.data.learned.place import row_number, unusable
from gdist.data.learned.values import as_lists, flatten, is_number, to_arrow, whole
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.learned.learned import Converted, LearnedColumn
    from gdist.data.learned.recipe import Value


def convert_numbers(
    learned: LearnedColumn, column: pa.ChunkedArray | pa.Array, *, where: str, first_row: int | np.ndarray, skip_bad: bool
) -> Converted:
    """As ``Learned.convert``. A column without gaps comes back as it is."""
    import numpy as np

    from gdist.data.learned.learned import Converted

    rule, array = learned.rule, whole(column)
    if not is_number(array.type):
        raise DataError(f"column `{rule.name}` holds {array.type}, not numbers", where=where, help="write it as numbers")
    flat = flatten(array)
    values, missing = flat.values, flat.missing
    wider = rule.fill in ("mean", "median") and values.dtype.kind in "iub"  # whether or not this part has a gap
    unclean = not_finite(values, missing)
    if missing is None and unclean is None:
        plain = as_lists(to_arrow(values.astype(np.float64)), array.type) if wider else array
        return Converted(plain, None, None)

    nan = None if unclean is None else np.isnan(values) & unclean
    infinite = None if unclean is None or nan is None else unclean & ~nan
    if rule.fill is not None and nan is not None:
        missing = nan if missing is None else missing | nan
        nan = None
    bad = None
    kinds = (("missing", missing if rule.fill is None else None), ("nan", nan), ("infinite", infinite))
    for kind, found in kinds:
        if found is None or not found.any():
            continue
        if not skip_bad:
            first = row_number(first_row, int(found.argmax()) // flat.width)
            raise unusable(rule.name, kind, int(np.count_nonzero(found)), where=where, row=first)
        bad = found if bad is None else bad | found
    gaps = missing if bad is None else bad if missing is None else bad | missing
    if rule.fill == "drop":
        bad, missing = gaps, None

    fills = learned.fill if learned.fill is not None else (0,)
    values = values.astype(np.float64 if wider else _holding(values, fills))
    if gaps is not None:
        by_row, holes = values.reshape(flat.rows, flat.width), gaps.reshape(flat.rows, flat.width)
        np.copyto(by_row, np.array(fills, values.dtype), where=holes)
    return Converted(
        as_lists(to_arrow(values), array.type), by_rows(bad, flat.width), by_rows(missing if rule.fill else None, flat.width)
    )


def _holding(values: np.ndarray, fills: Sequence[Value]) -> np.dtype[Any]:
    """The type in which both the values and what fills their gaps stay what they are; float64 where no integer is enough."""
    import numpy as np

    stored, double = values.dtype, np.dtype(np.float64)
    if stored.kind == "f":
        with np.errstate(over="ignore"):
            return stored if all(float(fill) == float(stored.type(fill)) for fill in fills) else double
    if not all(float(fill).is_integer() for fill in fills):
        return double
    both = np.result_type(stored, *(np.min_scalar_type(int(fill)) for fill in fills))
    if both.kind == "f" and values.max() < 1 << 63 and all(abs(int(fill)) < 1 << 63 for fill in fills):
        return np.dtype(np.int64)  # of uint64 and a negative fill
    return both if both.kind in "iu" else double


def extremes(values: np.ndarray) -> tuple[float, float]:
    """(least, greatest) of at least one value, both NaN where one is. Not min() and max(), which take half as long again."""
    import numpy as np

    return float(np.minimum.reduce(values)), float(np.maximum.reduce(values))


def not_finite(values: np.ndarray, missing: np.ndarray | None, ends: tuple[float, float] | None = None) -> np.ndarray | None:
    """True where a float that is not missing is NaN or infinite; None where none is, which is found at memory speed.
    ``ends``: the ``extremes`` of the values, where they are known."""
    import numpy as np

    if values.dtype.kind != "f" or not len(values):
        return None
    if missing is None and all(map(math.isfinite, extremes(values) if ends is None else ends)):
        return None
    found = ~np.isfinite(values)
    if missing is not None:
        found &= ~missing
    return found if found.any() else None


def by_rows(found: np.ndarray | None, width: int) -> np.ndarray | None:
    """Rows in which anything was found, shape (rows,)."""
    import numpy as np

    if found is None or not found.any():
        return None
    return found if width == 1 else np.logical_or.reduce(found.reshape(-1, width), axis=1)
