"""A row group's columns into row-major memory: converted, filled, scaled and checked, column by column, tile by tile.

Nothing loops over rows. Columns are written as rows in tiles that stay in the processor's cache, which is where they are
scaled too: the transposition costs about as much as the decoding of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gdist.data.columns import TensorPlan
from gdist.data.learned.gaps import extremes
from gdist.data.learned.learned import Learned
from gdist.data.learned.place import row_number
from gdist.data.learned.values import flatten, whole
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.formats.format import Read

_TILE_BYTES = 1 << 19


class Decoder:
    """``columns``: what must be read. ``skip_bad``: rows that no model can use are marked, not an error. Raises DataError where
    a tensor's floats cannot hold what gaps are filled with."""

    def __init__(self, plans: list[TensorPlan], learned: Learned, *, skip_bad: bool) -> None:
        self._plans = plans
        self._learned = learned
        self._skip_bad = skip_bad
        self.columns = list(dict.fromkeys(column for plan in plans for column in plan.columns))
        self._affine = {plan.name: learned.affine(plan.columns, plan.widths) for plan in plans}
        for plan in plans:
            _check_fills(plan, learned)

    def decode(self, read: Read, out: Mapping[str, np.ndarray], bad: np.ndarray, *, where: str, first_row: int) -> None:
        """Writes the rows that were read into ``out``, shape (rows, width) each by tensor, and says in ``bad``, bool (rows,),
        which of the group's rows are to be left out. ``where`` and ``first_row`` place errors.

        Raises DataError for missing values, NaN, infinity, numbers that do not fit, unless they may be skipped.
        """
        bad[:] = False
        if read.rows is None:
            self._decode(read.table, out, bad, where=where, first_row=first_row)
            return
        import numpy as np

        rows = read.rows
        packed = {name: np.empty((len(rows), array.shape[1]), array.dtype) for name, array in out.items()}
        packed_bad = np.zeros(len(rows), dtype=bool)
        self._decode(read.table, packed, packed_bad, where=where, first_row=first_row + rows)
        bad[:] = True
        bad[rows] = packed_bad
        for name, array in packed.items():
            out[name][rows] = array

    def _decode(
        self, table: pa.Table, out: Mapping[str, np.ndarray], bad: np.ndarray, *, where: str, first_row: int | np.ndarray
    ) -> None:
        import numpy as np

        for plan in self._plans:
            if plan.image:
                self._images(plan, table, out[plan.name], bad, where=where, first_row=first_row)
                continue
            parts: list[np.ndarray] = []
            missing: dict[str, np.ndarray | None] = {}
            for name in plan.columns:
                converted = self._learned.convert(
                    name, table.column(name), where=where, first_row=first_row, skip_bad=self._skip_bad
                )
                flat = flatten(converted.values)
                parts.append(flat.values.reshape(flat.rows, flat.width))
                missing[name] = converted.missing
                if converted.bad is not None:
                    bad |= converted.bad
                if self._affine[plan.name] is None:
                    self._check_range(plan, name, parts[-1], bad, where=where, first_row=first_row)
            for name in plan.indicators:
                parts.append(_indicator(missing[name], rows=table.num_rows))
            for values in parts:
                _check_fit(plan, values, out[plan.name].dtype, bad, where=where)
            with np.errstate(over="ignore", invalid="ignore"):  # of bad rows alone: all others have been looked at
                _write(out[plan.name], parts, self._affine[plan.name])

    def _check_range(
        self,
        plan: TensorPlan,
        name: str,
        values: np.ndarray,
        bad: np.ndarray,
        *,
        where: str,
        first_row: int | np.ndarray,
    ) -> None:
        """A finite number must stay finite in a narrower float."""
        import numpy as np

        kind = np.dtype(plan.dtype)
        if kind.kind != "f" or values.dtype.kind != "f" or values.dtype.itemsize <= kind.itemsize or not values.size:
            return
        most = float(np.finfo(kind).max)
        least, greatest = extremes(values.reshape(-1))
        if -most <= least and greatest <= most:
            return
        large = (np.abs(values) > most).any(axis=1) & ~bad
        if self._skip_bad:
            bad |= large
        elif large.any():
            row = row_number(first_row, int(large.argmax()))
            raise DataError(
                f"column `{name}` has a value that {plan.dtype} cannot hold, in row {row}",
                where=where,
                help=f"widen it: dtypes={{{plan.name!r}: 'float64'}} with precision='fp64'; or mend it at its source",
            )

    def _images(
        self, plan: TensorPlan, table: pa.Table, out: np.ndarray, bad: np.ndarray, *, where: str, first_row: int | np.ndarray
    ) -> None:
        """Encoded images as numbers: bytes as they are, floats from 0 to 1."""
        import numpy as np

        from gdist.data.images import decode

        pixels, unreadable = decode(
            whole(table.column(plan.columns[0])), plan.shape, where=where, first_row=first_row, skip_bad=self._skip_bad
        )
        if unreadable is not None:
            bad |= unreadable
        flat = pixels.reshape(len(pixels), -1)
        if out.dtype.kind == "f":
            np.multiply(flat, 1 / 255, out=out, casting="unsafe")
        else:
            out[:] = flat


def _write(out: np.ndarray, parts: list[np.ndarray], affine: tuple[np.ndarray, np.ndarray] | None) -> None:
    """Columns side by side into the rows of ``out``; (x - shift) * factor in float64."""
    import numpy as np

    if len(parts) == 1 and affine is None:
        out[:] = parts[0]
        return
    rows, width = out.shape
    size = max(1, _TILE_BYTES // max(width * (8 if affine is not None else out.itemsize), 1))
    tile: Any = np.empty((min(size, rows), width)) if affine is not None else None
    for first in range(0, rows, size):
        last = min(first + size, rows)
        target = out[first:last] if tile is None else tile[: last - first]
        start = 0
        for values in parts:
            target[:, start : start + values.shape[1]] = values[first:last]
            start += values.shape[1]
        if affine is not None:
            target -= affine[0]
            np.multiply(target, affine[1], out=out[first:last], casting="unsafe")


def _indicator(missing: np.ndarray | None, *, rows: int) -> np.ndarray:
    import numpy as np

    return np.zeros((rows, 1), dtype=np.uint8) if missing is None else missing.view(np.uint8).reshape(rows, 1)


def _check_fills(plan: TensorPlan, learned: Learned) -> None:
    """What fills a column that is not scaled must be finite in the tensor's floats."""
    import numpy as np

    kind = np.dtype(plan.dtype)
    for name in plan.columns if kind.kind == "f" else ():
        each = learned.columns.get(name)
        if each is None or each.rule.kind == "category" or each.factor or each.fill is None:
            continue
        most = float(np.finfo(kind).max)
        large = [value for value in each.fill if abs(float(value)) > most]
        if large:
            raise DataError(
                f"column `{name}` is filled with {large[0]!r}, which {plan.dtype} cannot hold",
                help=f"fill it with a smaller value, or widen it: dtypes={{{plan.name!r}: 'float64'}}",
            )


def _check_fit(plan: TensorPlan, values: np.ndarray, dtype: np.dtype[Any], bad: np.ndarray, *, where: str) -> None:
    """Integers must stay the numbers that they were: a class index of 1.5, or 300 in a byte, is an error."""
    import numpy as np

    if dtype.kind not in "iub" or np.can_cast(values.dtype, dtype, "safe"):
        return
    with np.errstate(invalid="ignore"):  # NaN has no integer: it differs from whatever it becomes
        same = (values == values.astype(dtype)).all(axis=1)
    if not (same | bad).all():
        raise DataError(
            f"values of `{plan.name}` ({values.dtype}) do not fit {dtype.name}",
            where=where,
            help=f"set its type, as in dtypes={{'{plan.name}': 'float32'}}",
        )
