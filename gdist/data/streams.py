"""The order of samples that do not fit into memory: row groups in a new order each epoch, rows shuffled in windows of them.

An epoch's row groups are permuted and dealt to a fixed number of logical streams. A stream cuts its groups into windows of
a few and shuffles the rows of each window; the epoch takes one row from each stream in turn, short streams end first and
the rest go on. A step is a stretch of that sequence, its rows sorted by stream: so a micro-batch takes its rows from few
streams, always the same ones, and a worker reads only what it uses. All of it is a function of (seed, epoch, position) and
of the sizes of the groups; no history, and no worker, enters.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gdist.data.order import Order, permute

if TYPE_CHECKING:
    import numpy as np

    from gdist.data.index import Index

_GROUPS = 2**62  # takes the seed's place apart from all windows' permutations
_GOLDEN = (math.sqrt(5) - 1) / 2
_BLOCK = 4_096  # positions whose rows are computed at a time
_KEPT_EPOCHS = 3
_KEPT_BLOCKS = 64


def stream_count(streams: int, *, batch_size: int, groups: int) -> int:
    """How many streams are used of the ``streams`` allowed: as many as divide the batch evenly, if that is half of them."""
    most = max(1, min(streams, batch_size, groups))
    even = max(n for n in range(1, most + 1) if batch_size % n == 0)
    return even if 2 * even >= most else most


class StreamOrder(Order):
    """``bounds``: raw rows [bounds[g], bounds[g + 1]) are row group g, int64, shape (groups + 1,); ``index``: the rows in use;
    ``window``: groups that a stream mixes at a time; ``batch_size``: positions of a step."""

    def __init__(
        self, bounds: np.ndarray, index: Index, *, seed: int, batch_size: int, streams: int = 64, window: int = 1
    ) -> None:
        import numpy as np

        self._bounds = bounds
        self._index = index
        self._counts = index.counts(bounds)
        self._full = np.flatnonzero(self._counts)  # a group without a row in use is no group
        self._length = int(self._counts.sum())
        self._seed, self._batch_size, self.window = seed, batch_size, window
        self.streams = stream_count(streams, batch_size=batch_size, groups=len(self._full))
        reach = self._length // max(len(self._full), 1) * window * self.streams // 2  # half a window of each stream
        self._steps = max(1, min(_BLOCK, reach) // batch_size)  # of a block
        self._layout = functools.lru_cache(maxsize=_KEPT_EPOCHS)(self._make_layout)
        self._block = functools.lru_cache(maxsize=_KEPT_BLOCKS)(self._make_block)
        self._windows: dict[tuple[int, int, int], np.ndarray] = {}  # (epoch, stream, window) -> raw rows in order

    def __len__(self) -> int:
        return self._length

    def rows(self, epoch: int, start: int, stop: int) -> np.ndarray:
        import numpy as np

        parts = []
        for block, span in self._pieces(epoch, start, stop):
            parts.append(block.rows(self._window_rows)[span])
        return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def groups(self, epoch: int, start: int, stop: int) -> list[int]:
        """Those of the whole block of steps that the positions lie in: what is needed soon is as good as needed."""
        pieces = [block.groups for block, _ in self._pieces(epoch, start, stop)]
        return pieces[0] if len(pieces) == 1 else list(dict.fromkeys(group for piece in pieces for group in piece))

    def _pieces(self, epoch: int, start: int, stop: int) -> Iterator[tuple[_Block, slice]]:
        """The blocks that positions ``start`` to ``stop`` lie in, and where in them."""
        if not 0 <= start <= stop <= self._length:
            raise ValueError(f"positions {start} to {stop} do not lie in range({self._length})")
        while start < stop:
            step, low = divmod(start, self._batch_size)
            begin = start - low
            high = min(stop - begin, self._batch_size)
            full = begin + self._batch_size <= self._length
            number = step // self._steps if full else -1
            block = self._block(epoch, number, low, high)
            at = (step - number * self._steps) * (high - low) if full else 0
            yield block, slice(at, at + high - low)
            start = begin + high

    def _make_block(self, epoch: int, number: int, low: int, high: int) -> _Block:
        """Steps of one epoch, positions ``low`` to ``high`` of each; number -1: the short last step."""
        import numpy as np

        whole = self._length // self._batch_size
        first, last = (whole, whole + 1) if number < 0 else (number * self._steps, min((number + 1) * self._steps, whole))
        positions = np.minimum(np.arange(first, last + 1, dtype=np.int64) * self._batch_size, self._length)
        return _Block(self._layout(epoch), epoch, positions, low, high)

    def _window_rows(self, layout: Layout, epoch: int, stream: int, window: int) -> np.ndarray:
        """The raw rows of a stream's window in their order."""
        import numpy as np

        key = (epoch, stream, window)
        found = self._windows.get(key)
        if found is None:
            if len(self._windows) >= 2 * self.streams:
                self._forget(epoch)
            spans = [(int(self._bounds[g]), int(self._bounds[g + 1])) for g in layout.groups_of(stream, window)]
            kept = np.concatenate([begin + self._index.local(begin, end) for begin, end in spans])
            order = permute(np.arange(len(kept)), n=len(kept), seed=self._seed ^ (stream << 40 | window), epoch=epoch)
            found = self._windows[key] = kept[order]
        return found

    def _forget(self, epoch: int) -> None:
        """Leaves each stream its newest window of the epoch: nobody goes back but to begin anew."""
        newest: dict[int, tuple[int, int, int]] = {}
        for key in list(self._windows):
            if key[0] == epoch:
                newest[key[1]] = max(key, newest.get(key[1], key))
        self._windows = {key: self._windows[key] for key in newest.values()}

    def _make_layout(self, epoch: int) -> Layout:
        import numpy as np

        order = permute(np.arange(len(self._full)), n=len(self._full), seed=self._seed ^ _GROUPS, epoch=epoch)
        return Layout(self._full[order], self._counts, streams=self.streams, window=self.window)


class Layout:
    """One epoch: which groups are which stream's, and how many rows of each stream the first p positions take.

    ``groups``: in the epoch's order; ``counts``: rows in use of every group. A group goes to the stream that has the fewest
    rows so far.
    """

    def __init__(self, groups: np.ndarray, counts: np.ndarray, *, streams: int, window: int) -> None:
        import numpy as np

        dealt: list[list[int]] = [[] for _ in range(streams)]
        waiting = [(0, rank, stream) for rank, stream in enumerate(_spread(streams))]  # who gets more lies among the others
        heapq.heapify(waiting)
        for group in groups.tolist():
            rows, rank, stream = waiting[0]
            dealt[stream].append(group)
            heapq.heapreplace(waiting, (rows + int(counts[group]), rank, stream))
        self._windows = [[of[i : i + window] for i in range(0, len(of), window)] for of in dealt]
        self.ends = [np.cumsum([0, *(sum(int(counts[g]) for g in one) for one in of)]) for of in self._windows]
        self._lengths = np.array([int(ends[-1]) for ends in self.ends], dtype=np.int64)
        self._segments: list[tuple[int, int, np.ndarray, np.ndarray]] = []  # first position, rows before it, alive, phases
        position = base = 0
        for length in np.unique(self._lengths).tolist():
            alive = np.flatnonzero(self._lengths > base)
            self._segments.append((position, base, alive, np.array(_spread(len(alive)), dtype=np.int64)))
            position += (length - base) * len(alive)
            base = length
        self._starts = np.array([segment[0] for segment in self._segments], dtype=np.int64)

    def taken(self, positions: np.ndarray) -> np.ndarray:
        """Rows taken from each stream by the first p positions: int64, shape (len(positions), streams).

        For n streams and any permutation r of range(n), the floors of (q + r) / n add up to q (Hermite's identity).
        """
        import numpy as np

        segments = np.searchsorted(self._starts, positions, side="right") - 1
        taken = np.empty((len(positions), len(self._lengths)), dtype=np.int64)
        for segment in np.unique(segments).tolist():
            first, base, alive, phases = self._segments[segment]
            here = segments == segment
            rows = np.broadcast_to(np.minimum(self._lengths, base), (int(here.sum()), len(self._lengths))).copy()
            rows[:, alive] = base + (positions[here, None] - first + phases) // len(alive)
            taken[here] = rows
        return taken

    def groups_of(self, stream: int, window: int) -> list[int]:
        return self._windows[stream][window]


class _Block:
    """A few steps that begin at ``positions`` (one more than steps), and of each the positions ``low`` to ``high``."""

    def __init__(self, layout: Layout, epoch: int, positions: np.ndarray, low: int, high: int) -> None:
        import numpy as np

        self._layout, self._epoch = layout, epoch
        taken = layout.taken(positions)
        counts = np.diff(taken, axis=0)
        ends = np.cumsum(counts, axis=1)  # a step's rows lie sorted by stream
        begins = ends - counts
        first = np.clip(begins, low, high)
        self._runs = np.clip(ends, low, high) - first  # (steps, streams): rows of each stream
        self._offsets = taken[:-1] + first - begins  # from which row of the stream
        self._streams = np.flatnonzero(self._runs.any(axis=0)).tolist()
        self._rows: np.ndarray | None = None

    @functools.cached_property
    def _stretches(self) -> list[tuple[int, int, int]]:
        """(stream, first, last): the rows of each stream that the steps use."""
        import numpy as np

        found = []
        for stream in self._streams:
            used = np.flatnonzero(self._runs[:, stream])
            first, last = int(used[0]), int(used[-1])
            found.append(
                (stream, int(self._offsets[first, stream]), int(self._offsets[last, stream] + self._runs[last, stream]))
            )
        return found

    @functools.cached_property
    def groups(self) -> list[int]:
        """The row groups whose rows the steps use, or that those are mixed with."""
        found: dict[int, None] = {}
        for stream, first, last in self._stretches:
            for window, _, _ in self._in_windows(stream, first, last):
                found.update(dict.fromkeys(self._layout.groups_of(stream, window)))
        return list(found)

    def rows(self, window_rows: Callable[[Layout, int, int, int], np.ndarray]) -> np.ndarray:
        """The raw rows, step after step: int64, shape (steps * (high - low),)."""
        import numpy as np

        if self._rows is None:
            pieces, shifts = [], np.zeros(self._runs.shape[1], dtype=np.int64)
            length = 0
            for stream, first, last in self._stretches:
                shifts[stream] = length - first
                length += last - first
                for window, begin, end in self._in_windows(stream, first, last):
                    pieces.append(window_rows(self._layout, self._epoch, stream, window)[begin:end])
            runs = self._runs.ravel()
            before = np.cumsum(runs) - runs
            at = np.repeat((self._offsets + shifts).ravel() - before, runs) + np.arange(int(runs.sum()))
            self._rows = np.concatenate(pieces)[at]
        return self._rows

    def _in_windows(self, stream: int, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Rows ``first`` to ``last`` of a stream as (window, from, to within it)."""
        ends = self._layout.ends[stream]
        window = int(ends.searchsorted(first, side="right")) - 1
        while first < last:
            begin, end = int(ends[window]), int(ends[window + 1])
            yield window, first - begin, min(last, end) - begin
            first, window = end, window + 1


def _spread(n: int) -> list[int]:
    """A permutation of range(n) any stretch of which lies evenly over it: the ranks of the multiples of the golden ratio."""
    order = sorted(range(n), key=lambda i: i * _GOLDEN % 1)
    ranks = [0] * n
    for rank, i in enumerate(order):
        ranks[i] = rank
    return ranks
