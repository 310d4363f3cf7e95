"""Categories as integer codes: the place in the sorted vocabulary, after 0 for what is unknown or missing; targets from 0."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from gdist.data.learned.gaps import by_rows
from gdist.data.learned.place import row_number, unknown_category, unusable
from gdist.data.learned.values import is_number, mask, numbers, to_arrow, whole
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.learned.learned import Converted, LearnedColumn


def convert_category(
    learned: LearnedColumn, column: pa.ChunkedArray | pa.Array, *, where: str, first_row: int | np.ndarray, skip_bad: bool
) -> Converted:
    """As ``Learned.convert``: codes, int32."""
    import numpy as np
    import pyarrow.types as is_

    from gdist.data.learned.learned import Converted

    rule, array = learned.rule, plain(whole(column))
    if is_.is_dictionary(array.type):
        places = _places(learned, array.dictionary, where=where).take(array.indices)
    else:
        places = _places(learned, array, where=where)
    missing, outside = mask(array), mask(places)
    first_code = np.int32(0 if rule.target else 1)
    codes = numbers(places.fill_null(-1)) + first_code
    bad = None
    if missing is not None and learned.fill is not None:
        known: Any = learned.vocabulary
        codes[missing] = bisect_left(known, learned.fill[0]) + first_code
    elif missing is not None and rule.fill == "drop":
        bad = missing
    if outside is not None and rule.target:
        unknown = outside if missing is None else outside & ~missing
        if missing is not None and rule.fill is None:
            if not skip_bad:
                first = row_number(first_row, int(missing.argmax()))
                raise unusable(rule.name, "missing", int(missing.sum()), where=where, row=first)
            bad = missing
        if unknown.any():
            if not skip_bad:
                at = int(unknown.argmax())
                raise unknown_category(
                    rule.name, array[at].as_py(), int(unknown.sum()), where=where, row=row_number(first_row, at),
                    known=learned.vocabulary or (),
                )  # fmt: skip
            bad = unknown if bad is None else bad | unknown
        codes[codes < 0] = 0  # of rows that are left out
    filled = missing if learned.fill is not None else None
    return Converted(to_arrow(codes), by_rows(bad, 1), by_rows(filled, 1))


def plain(array: pa.Array) -> pa.Array:
    """Text as one type, whatever a file calls it; of floats, NaN as null (pandas writes whole numbers with gaps so) and -0.0 as
    0.0. A dictionary has no null among its values: one that has comes back as its values."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    if is_.is_dictionary(array.type):
        values = plain(array.dictionary)
        if values.null_count:
            return values.take(array.indices)
        return array if values is array.dictionary else pa.DictionaryArray.from_arrays(array.indices, values)
    if is_.is_float16(array.type):  # with which Arrow does not calculate
        array = array.cast(pa.float32())
    if is_.is_floating(array.type):
        array = pc.add(array, pa.scalar(0, array.type))
        return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    return array.cast(pa.string()) if is_.is_large_string(array.type) else array


def _places(learned: LearnedColumn, values: pa.Array, *, where: str) -> pa.Array:
    """Each value's place in the vocabulary, int32; null where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    categories = learned.categories
    if not learned.vocabulary or values.null_count == len(values):
        return pa.nulls(len(values), pa.int32())
    if values.type != categories.type:
        # Numbers as text would seldom be the text that they were read from: 07 is not 7.
        same = is_.is_string(values.type) or (is_number(values.type) and not is_.is_string(categories.type))
        if not same or (is_.is_boolean(values.type) != is_.is_boolean(categories.type) and is_number(values.type)):
            raise _other_type(learned, values, where=where)
        try:
            values = _within(values, categories).cast(categories.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise _other_type(learned, values, where=where) from error
    return pc.index_in(values, value_set=categories)


def _within(values: pa.Array, categories: pa.Array) -> pa.Array:
    """Numbers of another type than the categories with null for those that can be none of them, and might not fit."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    if not is_number(values.type) or is_.is_boolean(values.type):
        return values
    found = numbers(values)
    outside = (found < categories[0].as_py()) | (found > categories[-1].as_py())
    if found.dtype.kind == "f" and is_.is_integer(categories.type):
        outside |= found != np.trunc(found)
    return pc.if_else(to_arrow(outside), pa.scalar(None, values.type), values) if outside.any() else values


def _other_type(learned: LearnedColumn, values: pa.Array, *, where: str) -> DataError:
    return DataError(
        f"column `{learned.rule.name}` holds {values.type}, its categories were learned as {learned.categories.type}",
        where=where,
        help="write it with the type that it had in training",
    )
