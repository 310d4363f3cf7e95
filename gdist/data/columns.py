"""From columns to tensors: which columns of a table become which tensor, of which shape and type.

A tensor of a batch (``features``, ``target``, or an extra one) is one or more columns side by side. A scalar column
is one wide, a fixed-size list as wide as it is long; a single nested list keeps its shape. Every format uses this.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Choice = str | tuple[str, ...]

Dtype = Literal["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
_ROWS_AT_ONCE = 2_048  # of a transpose from columns to rows: the target's rows stay in the cache


@dataclass(frozen=True, kw_only=True)
class TensorPlan:
    """How one tensor is made: from which columns, how wide each, and what a sample looks like."""

    name: str
    columns: tuple[str, ...]
    widths: tuple[int, ...]
    shape: tuple[int, ...]  # of one sample
    dtype: str


def plan_tensors(
    schema: pa.Schema,
    *,
    features: Choice | None,
    target: Choice | None,
    extra: dict[str, Choice],
    shape: tuple[int, ...] | None,
    dtypes: dict[str, str],
    where: str,
) -> list[TensorPlan]:
    """Settles columns, shapes and types by a file's schema; ``where`` names the file in errors.

    Raises DataError for a column that is not there (with the nearest name), holds no numbers, or a shape that does not fit.
    """
    wanted = {**({} if target is None else {"target": target}), **extra}
    chosen = {name: choose(choice, schema.names, where=where, role=name) for name, choice in wanted.items()}
    if features is None:
        used = {column for columns in chosen.values() for column in columns}
        first = [column for column in schema.names if column not in used]
        if not first:
            raise DataError("no column is left for the features", where=where, note=f"columns: {_listed(schema.names)}")
    else:
        first = choose(features, schema.names, where=where, role="features")
    chosen = {"features": first, **chosen}
    wanted = {"features": features or (), **wanted}
    unknown = [name for name in dtypes if name not in chosen]
    if unknown:
        raise DataError(
            f"`dtypes` names `{unknown[0]}`, which is no tensor of this data", help=f"it has {_listed(list(chosen))}"
        )
    return [
        _plan(
            name,
            columns,
            schema,
            single=isinstance(wanted[name], str) and len(columns) == 1 and name != "features",
            shape=shape if name == "features" else None,
            dtype=dtypes.get(name),
            where=where,
        )
        for name, columns in chosen.items()
    ]


def choose(choice: Choice, available: list[str], *, where: str, role: str) -> list[str]:
    """The columns meant by names and patterns (``pixel_*``), in the order given, a pattern's in the file's order."""
    found: dict[str, None] = {}
    for name in (choice,) if isinstance(choice, str) else choice:
        if name in available:
            found[name] = None
            continue
        matches = fnmatch.filter(available, name) if any(mark in name for mark in "*?[") else []
        if not matches:
            close = difflib.get_close_matches(name, available, n=1, cutoff=0.5)
            raise DataError(
                f"no column `{name}`, which the job names for `{role}`",
                where=where,
                note=f"columns: {_listed(available)}",
                help=f"did you mean `{close[0]}`?" if close else None,
            )
        found.update(dict.fromkeys(matches))
    if not found:
        raise DataError(f"`{role}` names no column", where=where, help=f"columns: {_listed(available)}")
    return list(found)


def fill(out: np.ndarray, start: int, plan: TensorPlan, columns: list[pa.ChunkedArray], *, where: str, first_row: int) -> None:
    """Writes a table's columns into rows ``start`` and on of ``out``, shape (all rows, width). No loop over rows.

    ``where`` and ``first_row`` (the table's first row in its file) place errors: nulls, ragged lists, values that do not fit.
    """
    parts: list[tuple[int, np.ndarray]] = []
    offset = 0
    for name, width, column in zip(plan.columns, plan.widths, columns, strict=True):
        parts.append((offset, _values(name, column, width, where=where, first_row=first_row)))
        offset += width
    for _, values in parts:
        _check_fit(plan, values, out.dtype, where=where)
    rows = len(parts[0][1]) if parts else 0
    for first in range(0, rows, _ROWS_AT_ONCE if len(parts) > 1 else max(rows, 1)):
        last = min(first + _ROWS_AT_ONCE, rows) if len(parts) > 1 else rows
        for offset, values in parts:
            out[start + first : start + last, offset : offset + values.shape[1]] = values[first:last]


def _plan(
    name: str,
    columns: list[str],
    schema: pa.Schema,
    *,
    single: bool,
    shape: tuple[int, ...] | None,
    dtype: str | None,
    where: str,
) -> TensorPlan:
    import numpy as np

    inner = [_inner(column, schema.field(column).type, where=where, role=name) for column in columns]
    widths = [math.prod(one) for one, _ in inner]
    alone = inner[0][0] if single or inner[0][0] else (1,)
    natural = alone if len(columns) == 1 else (sum(widths),)
    if shape is not None and math.prod(shape) != sum(widths):
        raise DataError(
            f"`shape` {list(shape)} has {math.prod(shape)} values a sample, the columns of `{name}` have {sum(widths)}",
            where=where,
        )
    if dtype is None:
        stored = np.result_type(*(kind for _, kind in inner))
        dtype = _default_dtype(name, stored)
    return TensorPlan(
        name=name, columns=tuple(columns), widths=tuple(widths), shape=natural if shape is None else shape, dtype=dtype
    )


def _default_dtype(name: str, stored: np.dtype[Any]) -> str:
    """Features become floats (a network's input), wider only if stored so; elsewhere integers stay, as class indices."""
    if stored.kind == "f":
        return "float64" if stored.itemsize > 4 else "float32"
    if name == "features":
        return "float32"
    return "bool" if stored.kind == "b" else "int64"


def _inner(column: str, kind: pa.DataType, *, where: str, role: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape of one value of a column and the type of its numbers."""
    import numpy as np
    import pyarrow.types as is_

    shape: list[int] = []
    stored = kind
    while is_.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    if is_.is_integer(kind) or is_.is_floating(kind) or is_.is_boolean(kind):
        return tuple(shape), np.dtype(kind.to_pandas_dtype())
    if is_.is_list(kind) or is_.is_large_list(kind):
        help = "write it as a fixed-size list (pyarrow.list_(type, size)), or pad it to one length"
    elif is_.is_string(kind) or is_.is_large_string(kind) or is_.is_dictionary(kind):
        help = "turn its categories into integer codes first, or leave it out"
    else:
        help = "store it as numbers, or leave it out"
    if role == "features":
        help += ": `features` takes a name, a list of names or a pattern"
    raise DataError(f"column `{column}` holds {stored}, not numbers", where=where, help=help)


def _values(name: str, column: pa.ChunkedArray, width: int, *, where: str, first_row: int) -> np.ndarray:
    """A column's numbers, shape (rows, width); shares Arrow's memory but for booleans and several chunks."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.types as is_

    if not column.num_chunks:
        return np.empty((0, width))
    array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    rows, each = len(array), 1
    _refuse_nulls(name, array, each=each, where=where, first_row=first_row)
    while is_.is_fixed_size_list(array.type):
        each *= array.type.list_size
        array = array.flatten()
        _refuse_nulls(name, array, each=each, where=where, first_row=first_row)
    if is_.is_boolean(array.type):
        array = array.cast(pa.uint8())  # from bits to bytes
    stored = np.dtype(array.type.to_pandas_dtype())
    # Not array.to_numpy(): it imports pandas where that is installed, a sixth of a second for nothing.
    values = np.frombuffer(array.buffers()[1] or b"", dtype=stored, count=len(array), offset=array.offset * stored.itemsize)
    return values.reshape(rows, width)


def _refuse_nulls(name: str, array: pa.Array, *, each: int, where: str, first_row: int) -> None:
    if array.null_count:
        first = array.is_null().index(True).as_py() // each + first_row
        missing = "missing value" if array.null_count == 1 else "missing values"
        raise DataError(
            f"column `{name}` has {array.null_count} {missing}, the first in row {first}",
            where=where,
            help="fill them or drop those rows before training",
        )


def _check_fit(plan: TensorPlan, values: np.ndarray, dtype: np.dtype[Any], *, where: str) -> None:
    """Integers must stay the numbers that they were: a class index of 1.5, or 300 in a byte, is an error."""
    import numpy as np

    if dtype.kind not in "iub" or np.can_cast(values.dtype, dtype, "safe"):
        return
    with np.errstate(invalid="ignore"):  # NaN has no integer: it differs from whatever it becomes
        cast = values.astype(dtype)
    if not np.array_equal(values, cast):
        raise DataError(
            f"values of `{plan.name}` ({values.dtype}) do not fit {dtype.name}",
            where=where,
            help=f"set its type, as in dtypes={{'{plan.name}': 'float32'}}",
        )


def _listed(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{name}`" for name in names[:most]) + more
