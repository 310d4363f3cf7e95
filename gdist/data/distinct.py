"""The distinct values of a column and which of them each row has, from one pass over the column."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


_WAITING_VALUES = 1 << 22


class Distinct(NamedTuple):
    """``values``: each once, ascending. ``codes``: each row's place in it, the narrowest unsigned integers that hold all,
    shape (rows,). ``counts``: rows of each value, int64."""

    values: Sequence[object]
    codes: np.ndarray
    counts: np.ndarray


def distinct(name: str, chunks: Iterable[pa.Array]) -> Distinct:
    """Of column ``name``, which comes as ``chunks`` in the order of its rows. No memory but the codes and the values.

    Raises DataError for missing values, which belong to no value, and for values that have no order, such as lists.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = _Found()
    rows = missing = 0
    for chunk in chunks:
        for array in chunk.chunks if isinstance(chunk, pa.ChunkedArray) else [chunk]:
            rows += len(array)
            missing += array.null_count
            if not array.null_count and len(array):
                found.add(_encode(name, array))
    if missing:
        raise DataError(
            f"column `{name}`, which splits the data, has no value in {missing} of {rows} rows",
            help="fill them or drop those rows, or split by another column",
        )
    if not rows:
        raise DataError(f"column `{name}`, which splits the data, has no rows")
    found.settle()
    assert found.values is not None
    order = pc.sort_indices(found.values)
    ranks = np.empty(len(order), dtype=np.min_scalar_type(len(order) - 1))
    ranks[_numbers(order)] = np.arange(len(order))
    whole = np.empty(rows, dtype=ranks.dtype)
    filled = 0
    while found.codes:
        codes = found.codes.popleft()  # its memory is free again
        whole[filled : filled + len(codes)] = ranks[codes]
        filled += len(codes)
    counts = np.empty(len(order), dtype=np.int64)
    counts[ranks] = found.counts
    return Distinct(found.values.take(order).to_pylist(), whole, counts)


class _Found:
    """Values in the order in which they came, and the rows' codes by that. The dictionaries of chunks wait to be united until
    they have as many values as are known, so that no value is looked up more than a few times."""

    def __init__(self) -> None:
        import numpy as np

        self.values: pa.Array | None = None
        self.counts = np.zeros(0, dtype=np.int64)
        self.codes: deque[np.ndarray] = deque()
        self._waiting: list[tuple[np.ndarray, pa.Array]] = []
        self._waiting_values = 0

    def add(self, encoded: pa.DictionaryArray) -> None:
        import numpy as np

        codes = _numbers(encoded.indices).astype(np.min_scalar_type(max(len(encoded.dictionary) - 1, 0)))
        self._waiting.append((codes, encoded.dictionary))
        self._waiting_values += len(encoded.dictionary)
        if self._waiting_values >= max(_WAITING_VALUES, 0 if self.values is None else len(self.values)):
            self.settle()

    def settle(self) -> None:
        import numpy as np
        import pyarrow as pa

        if not self._waiting:
            return
        known = [] if self.values is None else [self.values]
        encoded = pa.concat_arrays([*known, *(values for _, values in self._waiting)]).dictionary_encode()
        places, at = _numbers(encoded.indices), sum(map(len, known))  # those known stay where they are
        self.values = encoded.dictionary
        self.counts = np.concatenate([self.counts, np.zeros(len(self.values) - len(self.counts), dtype=np.int64)])
        narrow = np.min_scalar_type(len(self.values) - 1)
        for codes, values in self._waiting:
            own = places[at : at + len(values)]
            at += len(values)
            self.counts[own] += np.bincount(codes, minlength=len(own))
            self.codes.append(own.astype(narrow)[codes])
        self._waiting.clear()
        self._waiting_values = 0


def _encode(name: str, array: pa.Array) -> pa.DictionaryArray:
    import pyarrow as pa
    import pyarrow.types as is_

    kind = array.type.value_type if is_.is_dictionary(array.type) else array.type
    if is_.is_nested(kind) or is_.is_null(kind):
        raise DataError(
            f"column `{name}` holds {kind}, by which rows cannot be told apart", help="split by a column of numbers or text"
        )
    return array.cast(kind).dictionary_encode() if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()


def _numbers(array: pa.Array) -> np.ndarray:
    """Arrow's integers without its way through pandas."""
    import numpy as np

    stored = np.dtype(array.type.to_pandas_dtype())
    return np.frombuffer(array.buffers()[1] or b"", dtype=stored, count=len(array), offset=array.offset * stored.itemsize)
