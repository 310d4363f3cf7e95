"""Row groups read in background threads into an arena of bounded memory, in the order in which they will be needed.

``follow`` names what is needed from now on, as far ahead as anybody looks; the threads read as long as there is room. A
row group that no coming batch needs gives way to the next one. What a reader raises is raised again where its rows are taken.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gdist.data.arena import Arena, Slot
from gdist.data.batch import Batch
from gdist.errors import DeadlineExceeded

if TYPE_CHECKING:
    import numpy as np

Coming = Iterator[Sequence[int]]
_MOST_AHEAD = 2_048  # batches that are looked at before they are taken
_ABSENT = -(2**62)  # below the number of any row


class Loader:
    """``bounds``: raw rows [bounds[g], bounds[g + 1]) are row group g; ``read(group, slot)`` fills a slot, called in the
    threads; ``slots``: of one size, that the arena is cut into; ``threads``: how many read at a time."""

    def __init__(
        self,
        read: Callable[[int, Slot], object],
        arena: Arena,
        *,
        bounds: np.ndarray,
        slots: int,
        threads: int,
        deadline_s: float,
    ) -> None:
        import numpy as np

        self._slot_rows = arena.rows // slots
        self._room = slots
        self._free = list(range(slots))

        self._read, self._arena, self._bounds, self._deadline_s = read, arena, bounds, deadline_s
        self._ends = bounds[1:]
        self._shifts = np.full(len(bounds) - 1, _ABSENT, dtype=np.int64)  # from a raw row to its place in the arena, by group
        self._given_up = 0  # row groups so far
        self._now = 0  # batches taken since `follow`
        self._room_at: float = math.inf  # batches taken when a thread that waits for room finds some
        self._changed = threading.Condition()  # guards all below
        self._slots: dict[int, int] = {}  # group -> slot, being read or ready
        self._ready: dict[int, BaseException | None] = {}
        self._wanted: dict[int, None] = {}  # groups to read, the next one first
        self._coming: Coming = iter(())
        self._last: Sequence[int] = ()  # what the batch looked at last needs
        self._ahead = 0  # batches looked at
        self._needed: dict[int, int] = {}  # group -> the last batch looked at that needs it
        self._awaited: frozenset[int] = frozenset()  # what a batch waits for, or is being gathered from
        self._failed: BaseException | None = None  # what asking for coming batches raised
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"gdist-loader-{i}", daemon=True) for i in range(threads)]
        self._started = False

    def follow(self, coming: Coming) -> None:
        """``coming``: the row groups of each batch that will be taken, in their order, endless if it must be; the same object
        as before where a batch needs no others. It is asked in the threads, no further than there is room."""
        with self._changed:
            self._coming, self._last, self._ahead, self._now, self._room_at = coming, (), 0, 0, 0
            self._failed = None
            self._wanted.clear()
            self._needed.clear()
            self._start()
            self._changed.notify_all()

    def take(self, rows: np.ndarray) -> Batch:
        """The samples of raw rows ``rows``: waits until their row groups are there. Raises what reading them raised."""
        if self._failed is not None:
            raise self._failed
        batch = self._take(rows)
        self._now += 1
        if self._now >= self._room_at:
            with self._changed:
                self._room_at = math.inf
                self._changed.notify_all()
        return batch

    def _take(self, rows: np.ndarray) -> Batch:
        groups = self._ends.searchsorted(rows, side="right")
        while True:
            given_up = self._given_up
            places = rows + self._shifts.take(groups)
            if len(places) and places.min() < 0:
                needed = frozenset(groups.tolist())
                if len(needed) > self._room:
                    half = len(rows) // 2
                    return Batch.joined([self._take(rows[:half]), self._take(rows[half:])])
                self._await(needed)
                continue
            batch = self._arena.take(places)
            if given_up == self._given_up:
                self._awaited = frozenset()
                return batch  # else it may have been one of these, if nobody had announced them

    def close(self) -> None:
        """Ends the threads; a read under way is waited for briefly, then left to end with the process."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads if self._started else ():
            thread.join(timeout=5)

    def _await(self, groups: frozenset[int]) -> None:
        until = time.monotonic() + self._deadline_s
        with self._changed:
            self._start()
            self._awaited = groups
            self._wanted = dict.fromkeys([*(g for g in groups if g not in self._slots), *self._wanted])
            self._changed.notify_all()
            while not all(group in self._ready for group in groups):
                if self._closed:
                    raise RuntimeError("the loader is closed")
                if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise DeadlineExceeded(
                        f"row groups were not read within {self._deadline_s:g} s",
                        help="raise `data.deadline_s` if the storage is that slow",
                    )
            errors = [error for group in groups if (error := self._ready[group]) is not None]
            for group in groups:
                if self._ready[group] is not None:  # whoever asks again has it read again
                    self._forget(group)
            if errors:
                self._awaited = frozenset()
                raise errors[0]

    def _start(self) -> None:
        if not self._started and not self._closed:
            self._started = True
            for thread in self._threads:
                thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                found = self._next()
                while found is None:
                    if self._closed:
                        return
                    self._changed.wait()
                    found = self._next()
                group, slot = found
            error: BaseException | None = None
            try:
                self._read(group, slot)
            except BaseException as raised:  # the thread's edge: it goes to whoever takes the rows
                error = raised
            with self._changed:
                self._ready[group] = error
                if error is None:
                    self._arena.filled(slot)
                    self._shifts[group] = slot.first - int(self._bounds[group])
                self._changed.notify_all()

    def _next(self) -> tuple[int, Slot] | None:
        """The row group to read now and room for it, or None."""
        if self._closed:
            return None
        self._look_ahead()
        if not self._wanted:
            return None
        group = next(iter(self._wanted))
        if not self._free and not self._make_room(group):
            return None
        del self._wanted[group]
        number = self._slots[group] = self._free.pop()
        return group, self._arena.span(number * self._slot_rows, (number + 1) * self._slot_rows)

    def _look_ahead(self) -> None:
        """Looks at coming batches until one needs a row group that is not here, and past those that were taken meanwhile."""
        while not self._wanted or self._ahead <= self._now:
            if self._ahead - self._now >= _MOST_AHEAD:  # all that is needed for long is here
                self._room_at = min(self._room_at, self._now + _MOST_AHEAD // 2)
                return
            try:
                groups = next(self._coming, None)
            except BaseException as error:  # the thread's edge: it goes to whoever takes rows
                self._failed, groups = error, None
            if groups is None:
                self._coming = iter(())
                return
            if groups is not self._last:
                self._needed.update(dict.fromkeys(self._last, self._ahead - 1))
                self._wanted.update(dict.fromkeys(group for group in groups if group not in self._slots))
                self._last = groups
            self._ahead += 1

    def _make_room(self, group: int) -> bool:
        """Gives up a row group that no coming batch is known to need; for one that is waited for, the one needed last."""
        needed = dict.fromkeys(self._ready, -1)
        needed.update((g, at) for g, at in self._needed.items() if g in needed)
        needed.update((g, self._ahead - 1) for g in self._last if g in needed)
        for g in self._awaited:
            needed.pop(g, None)
        if not needed:
            return False
        oldest = min(needed, key=needed.__getitem__)
        if needed[oldest] < self._now:
            self._forget(oldest)
        elif group in self._awaited:
            self._forget(max(needed, key=needed.__getitem__))
        else:
            self._room_at = needed[oldest] + 1
            return False
        return True

    def _forget(self, group: int) -> None:
        self._shifts[group] = _ABSENT
        self._given_up += 1
        del self._ready[group]
        self._needed.pop(group, None)
        self._free.append(self._slots.pop(group))
