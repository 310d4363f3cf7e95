"""Opening a job's data: the feeds of what trains, validates and tests, of one source that is split or of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gdist.data.feed import Feed
from gdist.data.source import Source
from gdist.data.split import divide, settle
from gdist.engine.precision import Precision
from gdist.worker.blame import blaming_user

if TYPE_CHECKING:
    import torch

    from gdist.data.index import Index
    from gdist.data.source import Rows
    from gdist.job.job import Job


@dataclass(frozen=True, kw_only=True)
class Opened:
    """``fingerprint``: of the training data; ``said``: what the user should know of the split, as sentences."""

    train: Feed
    validation: Feed | None
    test: Feed | None
    fingerprint: str
    said: tuple[str, ...]

    def count(self, part: Literal["validation", "test"]) -> int | None:
        """Samples of a part; None where the job has none."""
        feed = getattr(self, part)
        return None if feed is None else len(feed)

    def close(self) -> None:
        """Ends the feeds' reading. Idempotent."""
        for feed in (self.train, self.validation, self.test):
            if feed is not None:
                feed.close()


def open_data(job: Job, device: torch.device, precision: Precision) -> Opened:
    """Raises DataError, which names the place and the mend; UserCodeError where a dataset of the user's failed."""
    with blaming_user("the data could not be opened"):
        rows = job.data.open()
        parts = divide(rows, settle(job.validation, job.test), seed=job.seed)
        apart = {"validation": job.validation, "test": job.test}
        others = {name: source.open() for name, source in apart.items() if isinstance(source, Source)}
    common: dict[str, Any] = {"device": device, "float_dtype": precision.dtype}
    held_out = rows
    if parts.validation is not None or parts.test is not None:
        rows, held_out = rows.divided()

    def feed(name: str, index: Index | None) -> Feed | None:
        """Of a source of its own, else of the rows that the split gives."""
        source: Rows | None = others.get(name, held_out if index is not None else None)
        return None if source is None else Feed(source, index=None if name in others else index, shuffle=False, **common)

    batch_size = None if job.batch_size == "full" else min(job.batch_size, len(parts.train))
    return Opened(
        train=Feed(rows, index=parts.train, seed=job.seed, shuffle=job.shuffle, batch_size=batch_size, **common),
        validation=feed("validation", parts.validation),
        test=feed("test", parts.test),
        fingerprint=rows.fingerprint(),
        said=parts.said,
    )
