"""Categories as integer codes: the place in the sorted vocabulary, after 0 for what is unknown or missing; targets from 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.data.learned.gaps import by_rows
from gdist.data.learned.place import row_number, unknown_category, unusable
from gdist.data.learned.values import mask, numbers, to_arrow, whole
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
    import pyarrow.compute as pc
    import pyarrow.types as is_

    from gdist.data.learned.learned import Converted

    rule, array = learned.rule, plain_text(whole(column))
    if is_.is_dictionary(array.type):
        values = without_nan(array.dictionary)
        places = _places(learned, values, where=where).take(array.indices)
        gone = values.take(array.indices) if values.null_count else array.indices
    else:
        gone = without_nan(array)
        places = _places(learned, gone, where=where)
    missing, outside = mask(gone), mask(places)
    codes = numbers(places.fill_null(-1)) + np.int32(0 if rule.target else 1)
    bad = None
    if missing is not None and learned.fill is not None:
        index = pc.index(learned.categories, learned.fill[0]).as_py()
        codes[missing] = index + (0 if rule.target else 1)
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


def plain_text(array: pa.Array) -> pa.Array:
    """Text as one type, whatever a file calls it: large_string and the dictionaries of it become string's."""
    import pyarrow as pa
    import pyarrow.types as is_

    if is_.is_dictionary(array.type):
        values = plain_text(array.dictionary)
        return array if values is array.dictionary else pa.DictionaryArray.from_arrays(array.indices, values)
    return array.cast(pa.string()) if is_.is_large_string(array.type) else array


def without_nan(array: pa.Array) -> pa.Array:
    """A float column's NaN as null: pandas writes whole numbers with gaps so."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as is_

    if not is_.is_floating(array.type):
        return array
    return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)


def _places(learned: LearnedColumn, values: pa.Array, *, where: str) -> pa.Array:
    """Each value's place in the vocabulary, int32; null where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    categories = learned.categories
    if values.type != categories.type:
        try:
            values = values.cast(categories.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"column `{learned.rule.name}` holds {values.type}, its categories were learned as {categories.type}",
                where=where,
                help="write it with the type that it had in training",
            ) from error
    return pc.index_in(values, value_set=categories)
