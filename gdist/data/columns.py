"""From columns to tensors: which columns of a table become which tensor, of which shape and type.

A tensor of a batch (``features``, ``target``, or an extra one) is one or more columns side by side. A scalar column
is one wide, a fixed-size list as wide as it is long; a single nested list keeps its shape. Every format uses this.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.learned.recipe import Recipe

Choice = str | tuple[str, ...]

Dtype = Literal["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


@dataclass(frozen=True, kw_only=True)
class TensorPlan:
    """How one tensor is made: from which columns, how wide each, and what a sample looks like. ``indicators``: columns of
    which it also tells, at its end, where they were missing; ``image``: its column holds encoded images of ``shape``."""

    name: str
    columns: tuple[str, ...]
    widths: tuple[int, ...]
    shape: tuple[int, ...]  # of one sample
    dtype: str
    indicators: tuple[str, ...] = ()
    image: bool = False

    @property
    def width(self) -> int:
        """Numbers of a sample."""
        return math.prod(self.shape)

    @property
    def row_bytes(self) -> int:
        import numpy as np

        return self.width * np.dtype(self.dtype).itemsize


def plan_tensors(
    schema: pa.Schema,
    *,
    features: Choice | None,
    target: Choice | None,
    extra: Mapping[str, Choice],
    shape: tuple[int, ...] | None,
    dtypes: Mapping[str, str],
    recipe: Recipe | None = None,
    where: str,
) -> list[TensorPlan]:
    """Settles columns, shapes and types by a file's schema; ``where`` names the file in errors; by ``recipe`` some columns
    are categories, and some have indicators.

    Raises DataError for a column that is not there (with the nearest name), holds no numbers, or a shape that does not fit.
    """
    chosen = choose_all(schema.names, features=features, target=target, extra=extra, where=where)
    wanted = {"features": features or (), "target": target, **extra}
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
            recipe=recipe,
            where=where,
        )
        for name, columns in chosen.items()
    ]


def choose_all(
    available: list[str], *, features: Choice | None, target: Choice | None, extra: Mapping[str, Choice], where: str
) -> dict[str, list[str]]:
    """The columns of each tensor by its name, ``features`` first: what is named, else all that the others leave."""
    wanted = {**({} if target is None else {"target": target}), **extra}
    chosen = {name: choose(choice, available, where=where, role=name) for name, choice in wanted.items()}
    used = {column for columns in chosen.values() for column in columns}
    if features is not None:
        return {"features": choose(features, available, where=where, role="features", besides=used), **chosen}
    left = [column for column in available if column not in used]
    if not left:
        raise DataError("no column is left for the features", where=where, note=f"columns: {_listed(available)}")
    return {"features": left, **chosen}


def choose(choice: Choice, available: list[str], *, where: str, role: str, besides: Collection[str] = ()) -> list[str]:
    """The columns meant by names and patterns (``pixel_*``), in the order given, a pattern's in the file's order. A pattern
    passes over those ``besides``, such as the target among the features."""
    found: dict[str, None] = {}
    for name in (choice,) if isinstance(choice, str) else choice:
        if name in available:
            found[name] = None
            continue
        matches = fnmatch.filter(available, name) if any(mark in name for mark in "*?[") else []
        matches = [match for match in matches if match not in besides]
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


def _plan(
    name: str,
    columns: list[str],
    schema: pa.Schema,
    *,
    single: bool,
    shape: tuple[int, ...] | None,
    dtype: str | None,
    recipe: Recipe | None,
    where: str,
) -> TensorPlan:
    import numpy as np
    import pyarrow.types as is_

    kind = schema.field(columns[0]).type
    encoded = shape is not None and len(columns) == 1 and (is_.is_binary(kind) or is_.is_large_binary(kind))
    if encoded:
        assert shape is not None
        if len(shape) != 3:
            help = "shape=[channels, height, width]"
            raise DataError(f"`shape` {list(shape)} is not that of an image", where=where, help=help)
        width = math.prod(shape)
        dtype = dtype or "float32"
        return TensorPlan(name=name, columns=tuple(columns), widths=(width,), shape=shape, dtype=dtype, image=True)
    codes = {column for column in columns if recipe is not None and recipe.is_category(column)}
    inner = [
        ((), np.dtype(np.int32)) if column in codes else _inner(column, schema.field(column).type, where=where, role=name)
        for column in columns
    ]
    widths = [math.prod(one) for one, _ in inner]
    indicators = recipe.indicators(columns) if recipe is not None else ()
    alone = inner[0][0] if single or inner[0][0] else (1,)
    natural = alone if len(columns) == 1 and not indicators else (sum(widths) + len(indicators),)
    if shape is not None and math.prod(shape) != math.prod(natural):
        raise DataError(
            f"`shape` {list(shape)} has {math.prod(shape)} values a sample, the columns of `{name}` have {math.prod(natural)}",
            where=where,
        )
    if dtype is None:
        scaled = recipe is not None and any(rule.scale or rule.fill for c in columns if (rule := recipe.rules.get(c)))
        stored = np.result_type(*(kind for _, kind in inner))
        dtype = "float32" if scaled and stored.kind != "f" and not codes else _default_dtype(name, stored)
    return TensorPlan(
        name=name,
        columns=tuple(columns),
        widths=tuple(widths),
        shape=natural if shape is None else shape,
        dtype=dtype,
        indicators=indicators,
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
        help = f"turn its values into codes: categories={column!r}, or leave it out"
    elif is_.is_binary(kind) or is_.is_large_binary(kind):
        help = "encoded images are decoded to a shape: shape=(channels, height, width), with this column alone as features"
    else:
        help = "store it as numbers, or leave it out"
    if role == "features":
        help += ": `features` takes a name, a list of names or a pattern"
    raise DataError(f"column `{column}` holds {stored}, not numbers", where=where, help=help)


def _listed(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{name}`" for name in names[:most]) + more
