"""Counts, means, squared deviations, least and greatest values of numbers, in float64, so that parts can be merged.

Merged by Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance" (1983): with delta = b.mean - a.mean,
mean = a.mean + delta * b.n / n and M2 = a.M2 + b.M2 + delta**2 * a.n * b.n / n. A part is computed in tiles that stay in the
cache: each tile's mean first, then the deviations from it, so that nothing cancels however far from zero the values lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_TILE = 8_192  # numbers: 64 kB of float64; below 10,000, from where on OpenBLAS would split a dot among its threads

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


def add_column(into: dict[str, np.ndarray], at: int, values: np.ndarray, missing: np.ndarray | None, width: int) -> None:
    """Writes the moments of a column, ``values`` of shape (rows * width,), to places ``at`` to ``at + width``."""
    import numpy as np

    if width > 1:
        by_row, gaps = values.reshape(-1, width), None if missing is None else missing.reshape(-1, width)
        for j in range(width):
            add_column(into, at + j, np.ascontiguousarray(by_row[:, j]), None if gaps is None else gaps[:, j], 1)
        return
    if missing is not None:
        into["missing"][at] = np.count_nonzero(missing)
        values = values[~missing]
    if not len(values):
        return
    into["count"][at] = len(values)
    into["mean"][at], into["squares"][at] = _mean_and_squares(values)
    into["least"][at], into["most"][at] = values.min(), values.max()


def _mean_and_squares(values: np.ndarray) -> tuple[float, float]:
    """Mean and sum of squared deviations from it, of at least one value."""
    import numpy as np

    starts = range(0, len(values), _TILE)
    means, squares = np.empty(len(starts)), np.empty(len(starts))
    counts = np.full(len(starts), float(_TILE))
    counts[-1] = len(values) - starts[-1]
    tile = np.empty(min(_TILE, len(values)))
    with np.errstate(over="ignore", invalid="ignore"):  # too large to be scaled: refused where a scale is made of it
        for k, start in enumerate(starts):
            part = values[start : start + _TILE]
            wide = tile[: len(part)]
            np.copyto(wide, part)
            means[k] = mean = np.add.reduce(wide) / len(part)
            wide -= mean
            squares[k] = np.dot(wide, wide)
        return _merged(counts, means, squares)


def _merged(counts: np.ndarray, means: np.ndarray, squares: np.ndarray) -> tuple[float, float]:
    """Mean and squares of all tiles together."""
    import numpy as np

    mean = means[0] + np.add.reduce(counts * (means - means[0])) / np.add.reduce(counts)
    return float(mean), float(np.add.reduce(squares) + np.add.reduce(counts * (means - mean) ** 2))
