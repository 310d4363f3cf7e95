"""The distinct values of a column and which of them each row has, from one pass over the column."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


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

    codes: list[np.ndarray] = []  # within each chunk's own dictionary
    dictionaries: list[pa.Array] = []
    rows = missing = 0
    for chunk in chunks:
        for array in chunk.chunks if isinstance(chunk, pa.ChunkedArray) else [chunk]:
            rows += len(array)
            missing += array.null_count
            if not array.null_count and len(array):
                encoded = _encode(name, array)
                codes.append(_narrowed(encoded.indices, len(encoded.dictionary)))
                dictionaries.append(encoded.dictionary)
    if missing:
        raise DataError(
            f"column `{name}`, which splits the data, has no value in {missing} of {rows} rows",
            help="fill them or drop those rows, or split by another column",
        )
    if not dictionaries:
        raise DataError(f"column `{name}`, which splits the data, has no rows")
    encoded = pa.concat_arrays(dictionaries).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[_numbers(order)] = np.arange(len(order))
    places = _places(ranks[_numbers(encoded.indices)], [len(dictionary) for dictionary in dictionaries])
    narrow = np.min_scalar_type(max(len(order) - 1, 0))
    whole = np.empty(rows, dtype=narrow)
    filled = 0
    counts = np.zeros(len(order), dtype=np.int64)
    for own, to in zip(codes, places, strict=True):
        part = to.astype(narrow)[own]
        whole[filled : filled + len(part)] = part
        filled += len(part)
        np.add.at(counts, to, np.bincount(own, minlength=len(to)))
    return Distinct(encoded.dictionary.take(order).to_pylist(), whole, counts)


def _encode(name: str, array: pa.Array) -> pa.DictionaryArray:
    import pyarrow as pa
    import pyarrow.types as is_

    kind = array.type.value_type if is_.is_dictionary(array.type) else array.type
    if is_.is_nested(kind) or is_.is_null(kind):
        raise DataError(
            f"column `{name}` holds {kind}, by which rows cannot be told apart", help="split by a column of numbers or text"
        )
    return array.cast(kind).dictionary_encode() if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()


def _narrowed(indices: pa.Array, values: int) -> np.ndarray:
    import numpy as np

    return _numbers(indices).astype(np.min_scalar_type(max(values - 1, 0)))


def _numbers(array: pa.Array) -> np.ndarray:
    """Arrow's integers without its way through pandas."""
    import numpy as np

    stored = np.dtype(array.type.to_pandas_dtype())
    return np.frombuffer(array.buffers()[1] or b"", dtype=stored, count=len(array), offset=array.offset * stored.itemsize)


def _places(ranks: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    bounds = itertools.accumulate(lengths, initial=0)
    return [ranks[first:stop] for first, stop in itertools.pairwise(bounds)]
