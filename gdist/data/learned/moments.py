"""Counts, means, squared deviations, least and greatest values of numbers, in float64, so that parts can be merged.

Merged by Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance" (1983): with delta = b.mean - a.mean,
mean = a.mean + delta * b.n / n and M2 = a.M2 + b.M2 + delta**2 * a.n * b.n / n. A part is computed in tiles that stay in the
cache: each tile's mean first, then the deviations from it, so that nothing cancels however far from zero the values lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

from gdist.data.learned.gaps import extremes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_TILE = 8_192  # numbers: 64 kB of float64; below 10,000, from where on OpenBLAS would split a dot among its threads

_LARGE = 1e150  # squares of larger numbers may be infinite; a scale is refused where it is made of them

FIELDS = ("count", "missing", "mean", "squares", "least", "most")


def neutral(elements: int) -> dict[str, np.ndarray]:
    """The moments of no rows: float64, each of shape (elements,)."""
    import numpy as np

    found = {name: np.zeros(elements) for name in FIELDS}
    found["least"] += np.inf
    found["most"] -= np.inf
    return found


def merge(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The moments of both parts' rows, into ``left``."""
    count, delta = left["count"] + right["count"], right["mean"] - left["mean"]
    share = right["count"] / count.clamp(min=1)
    left["squares"].add_(right["squares"]).add_(delta * delta * left["count"] * share)
    left["mean"].add_(delta * share)
    left["least"].copy_(left["least"].minimum(right["least"]))
    left["most"].copy_(left["most"].maximum(right["most"]))
    left["count"].copy_(count)
    left["missing"].add_(right["missing"])
    return left


def add_column(
    into: dict[str, np.ndarray],
    at: int,
    values: np.ndarray,
    missing: np.ndarray | None,
    width: int,
    ends: tuple[float, float] | None = None,
) -> None:
    """Writes the moments of a column, ``values`` of shape (rows * width,), to places ``at`` to ``at + width``. ``ends``: the
    ``extremes`` of all values, where they are known."""
    import numpy as np

    if width > 1:
        by_row, gaps = values.reshape(-1, width), None if missing is None else missing.reshape(-1, width)
        for j in range(width):
            add_column(into, at + j, np.ascontiguousarray(by_row[:, j]), None if gaps is None else gaps[:, j], 1)
        return
    if missing is not None:
        into["missing"][at] = np.count_nonzero(missing)
        values, ends = values[~missing], None
    if not len(values):
        return
    least, most = ends or extremes(values)
    with np.errstate(over="ignore", invalid="ignore") if max(-least, most) > _LARGE else nullcontext():
        mean, squares = _mean_and_squares(values)
    into["count"][at], into["mean"][at], into["squares"][at] = len(values), mean, squares
    into["least"][at], into["most"][at] = least, most


def _mean_and_squares(values: np.ndarray) -> tuple[float, float]:
    """Mean and sum of squared deviations from it, of at least one value."""
    import numpy as np

    tile = np.empty(min(_TILE, len(values)))
    count, mean, squares = 0, 0.0, 0.0
    for start in range(0, len(values), _TILE):
        part = values[start : start + _TILE]
        size = len(part)
        wide = tile if size == len(tile) else tile[:size]
        np.copyto(wide, part)
        center = float(np.add.reduce(wide)) / size
        wide -= center
        delta, count = center - mean, count + size
        squares += float(np.dot(wide, wide)) + delta * delta * (count - size) * size / count
        mean += delta * size / count
    return mean, squares
