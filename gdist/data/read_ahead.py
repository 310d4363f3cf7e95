"""Reading batches before they are asked for, in one thread with a bound.

One thread, so that a dataset is never called twice at a time. What a reader raises is raised again where the batch is taken.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gdist.errors import DeadlineExceeded

if TYPE_CHECKING:
    from gdist.data.batch import Batch

Span = tuple[int, int, int]  # epoch, first position, one past the last


class ReadAhead:
    """``read``: span -> batch, called in the thread. ``bound``: the most batches that lie ready at a time."""

    def __init__(self, read: Callable[[Span], Batch], *, bound: int, deadline_s: float) -> None:
        self._read = read
        self._bound = bound
        self._deadline_s = deadline_s
        self._changed = threading.Condition()  # guards all below
        self._coming: Iterator[Span] = iter(())
        self._wanted: deque[Span] = deque()  # to read, the next one first
        self._reading: Span | None = None
        self._ready: dict[Span, Batch | BaseException] = {}
        self._awaited: Span | None = None
        self._keep: set[Span] = set()
        self._closed = False
        self._thread: threading.Thread | None = None

    def follow(self, spans: Iterator[Span]) -> None:
        """Says which batches come next, in their order, endless if they are; no more are asked for than there is room for.
        Batches read for an older wish are kept if they are among these."""
        wish = list(dict.fromkeys(itertools.islice(spans, self._bound)))
        with self._changed:
            self._coming = spans
            self._keep = set(wish)
            self._ready = {span: batch for span, batch in self._ready.items() if span in self._keep}
            self._wanted = deque(span for span in wish if span not in self._ready and span != self._reading)
            self._start()
            self._changed.notify_all()

    def take(self, span: Span) -> Batch:
        """The batch of a span, expected or not. Raises what reading it raised."""
        until = time.monotonic() + self._deadline_s
        with self._changed:
            self._awaited = span
            self._keep.add(span)
            if span not in self._ready and span != self._reading:
                self._wanted = deque([span, *(other for other in self._wanted if other != span)])
            self._start()
            self._changed.notify_all()
            while span not in self._ready:
                if self._closed:
                    raise RuntimeError("the feed is closed")
                if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise DeadlineExceeded(
                        f"a batch was not read within {self._deadline_s:g} s",
                        where=f"epoch {span[0]}, positions {span[1]} to {span[2]}",
                        help="raise `data.deadline_s` if the dataset is that slow",
                    )
            self._awaited = None
            self._keep.discard(span)
            found = self._ready.pop(span)
            self._want_next()
            self._changed.notify_all()
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """Ends the thread; a read under way is waited for briefly, then left to end with the process."""
        with self._changed:
            self._closed = True
            self._wanted.clear()
            self._ready.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="gdist-read-ahead", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._may_read():
                    self._changed.wait()
                if self._closed:
                    return
                span = self._reading = self._wanted.popleft()
            found: Batch | BaseException
            try:
                found = self._read(span)
            except BaseException as error:  # the thread's edge: it goes to whoever takes the batch
                found = error
            with self._changed:
                self._reading = None
                if span in self._keep:
                    self._ready[span] = found
                self._changed.notify_all()

    def _want_next(self) -> None:
        coming = next(self._coming, None)
        if coming is not None and coming not in self._keep:
            self._keep.add(coming)
            self._wanted.append(coming)

    def _may_read(self) -> bool:
        if not self._wanted:
            return False
        return len(self._ready) < self._bound or self._wanted[0] == self._awaited
