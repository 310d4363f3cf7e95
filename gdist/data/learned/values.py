"""A column's numbers as flat numpy arrays that share Arrow's memory, and which of them are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Flat(NamedTuple):
    """``values``: shape (rows * width,), read-only; ``missing``: nulls among them, None where there are none."""

    values: np.ndarray
    missing: np.ndarray | None
    rows: int
    width: int


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The column as one array."""
    import pyarrow as pa

    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def flatten(array: pa.Array) -> Flat:
    """The numbers of a column (fixed-size lists: of all elements); booleans become bytes. What is null holds anything."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.types as is_

    rows, width = len(array), 1
    missing = mask(array)
    while is_.is_fixed_size_list(array.type):
        size = array.type.list_size
        # Not flatten(), which leaves out the elements of lists that are null.
        array = array.values.slice(array.offset * size, len(array) * size)
        width *= size
        of_lists = None if missing is None else np.repeat(missing, size)
        own = mask(array)
        missing = own if of_lists is None else of_lists if own is None else of_lists | own
    if is_.is_boolean(array.type):
        array = array.cast(pa.uint8())
    return Flat(numbers(array), missing, rows, width)


def numbers(array: pa.Array) -> np.ndarray:
    """A primitive array's memory. Not to_numpy(), which imports pandas where that is installed."""
    import numpy as np

    stored = np.dtype(array.type.to_pandas_dtype())
    return np.frombuffer(array.buffers()[1] or b"", dtype=stored, count=len(array), offset=array.offset * stored.itemsize)


def mask(array: pa.Array) -> np.ndarray | None:
    """True where the array is null, shape (len,); None where nothing is."""
    import pyarrow as pa

    return numbers(array.is_null().cast(pa.uint8())).view(bool) if array.null_count else None


def to_arrow(values: np.ndarray, type: Any = None) -> pa.Array:
    """A one-dimensional array as Arrow's, without a copy. Not pa.array(), which imports pandas where that is installed."""
    import numpy as np
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    if values.dtype == bool:
        return to_arrow(values.view(np.uint8)).cast(pa.bool_())
    return pa.Array.from_buffers(type or pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def as_lists(flat: pa.Array, like: pa.DataType) -> pa.Array:
    """Flat values as the (nested) fixed-size lists that ``like`` is; the values keep their own type."""
    import pyarrow as pa
    import pyarrow.types as is_

    sizes = []
    while is_.is_fixed_size_list(like):
        sizes.append(like.list_size)
        like = like.value_type
    for size in reversed(sizes):
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat


def is_number(kind: pa.DataType) -> bool:
    """Whether a type, or the elements of its fixed-size lists, are numbers."""
    import pyarrow.types as is_

    while is_.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(is_.is_integer(kind) or is_.is_floating(kind) or is_.is_boolean(kind))


def sorted_values(values: Sequence[bool] | Sequence[float] | Sequence[str]) -> pa.Array:
    """Ascending values of one kind as Arrow's array, without pandas; text where there is none."""
    import numpy as np
    import pyarrow as pa

    if values and not isinstance(values[0], str):
        whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
        large = whole and int(values[-1]) >= 1 << 63
        return to_arrow(np.array(values, np.uint64 if large else np.int64 if whole else None))
    encoded = [str(value).encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))
