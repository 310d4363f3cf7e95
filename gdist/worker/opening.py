"""Opening a job's data: what trains, validates and tests, of one source that is split or of several.

In two parts, since what is between them may need the other workers: the rows are found and divided; what the job wants to
know of those that train is learned (``learn.py``); then they can be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from gdist.data.feed import Feed
from gdist.data.formats.kinds import is_text
from gdist.data.source import Source
from gdist.data.split import Parts, divide, settle
from gdist.data.table import Columns, Table
from gdist.data.table_rows import TableRows
from gdist.engine.precision import Precision
from gdist.errors import DataError
from gdist.job.micro_batches import default_micro_batches
from gdist.worker.blame import blaming_user

if TYPE_CHECKING:
    import torch

    from gdist.data.index import Index
    from gdist.data.source import Rows
    from gdist.engine.collective import Collective
    from gdist.job.job import Job


@dataclass(frozen=True, kw_only=True)
class Found:
    """A job's rows, not yet to be read: those of its training data, its parts, and those of other sources by part."""

    job: Job
    rows: Rows
    parts: Parts
    others: Mapping[str, Rows]

    @property
    def ready(self) -> bool:
        """Whether nothing is left to be learned from the rows that train."""
        return self.rows.ready

    @property
    def most_micro_batches(self) -> int:
        """Of a step, before it is known whether the model's micro-batches may be merged."""
        samples = len(self.parts.train)
        batch_size = samples if self.job.batch_size == "full" else min(self.job.batch_size, samples)
        either = (default_micro_batches(batch_size, mergeable=mergeable) for mergeable in (False, True))
        return min(self.job.micro_batches or max(either), batch_size)

    def require_unchanged(self, before: Sequence[Mapping[str, Any]] | None) -> None:
        """Raises DataError for the first file of the training data that is not what it was when the run began."""
        changed = difference(before or [], self.rows.files()) if before else None
        if changed is not None:
            raise DataError(
                "the data has changed since the run began",
                where=changed[0],
                note=changed[1],
                help="put it back as it was, or begin a new run: gdist train JOB init_from=RUN takes the weights along; or "
                "go on with it as it is: gdist resume RUN --accept data",
            )

    def learn(self, collective: Collective, *, device: torch.device) -> Found:
        """With what the job wants to know of the rows that train, learned by all workers together. Raises DataError."""
        from gdist.worker.learn import learn

        rows = self.rows
        assert isinstance(rows, TableRows), "only tables have recipes"
        skip = rows.source.on_bad_rows == "skip"
        trains = hashlib.sha256(self.parts.train.bits().tobytes()).hexdigest()
        content = rows.content_key()
        learned = learn(
            rows.training(self.parts.train), rows.recipe, collective,
            fingerprint=content and f"{content} {trains}", skip_bad=skip, device=device,
        )  # fmt: skip
        return self.with_state({"learned": learned.to_json()})

    def with_state(self, state: Mapping[str, Any]) -> Found:
        """With what an earlier run learned (``Rows.state``)."""
        others = {name: rows.with_state(state) for name, rows in self.others.items()}
        return replace(self, rows=self.rows.with_state(state), others=others)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """``fingerprint``: of the training data; ``said``: what the user should know of the split, as sentences; ``files``,
    ``state``: of the training data's ``Rows``."""

    train: Feed
    validation: Feed | None
    test: Feed | None
    fingerprint: str
    said: tuple[str, ...]
    files: list[dict[str, Any]]
    state: dict[str, Any]

    def count(self, part: Literal["validation", "test"]) -> int | None:
        """Samples of a part; None where the job has none."""
        feed = getattr(self, part)
        return None if feed is None else len(feed)

    def close(self) -> None:
        """Ends the feeds' reading. Idempotent."""
        for feed in (self.train, self.validation, self.test):
            if feed is not None:
                feed.close()


def find_data(job: Job) -> Found:
    """Raises DataError, which names the place and the mend; UserCodeError where a dataset of the user's failed."""
    with blaming_user("the data could not be opened"):
        rows = job.data.open()
        parts = divide(rows, settle(job.validation, job.test), seed=job.seed)
        apart = {"validation": job.validation, "test": job.test}
        others = {
            name: _open_like(source, job.data, rows).with_state(rows.state())  # such as the tokenizer
            for name, source in apart.items()
            if isinstance(source, Source)
        }
    return Found(job=job, rows=rows, parts=parts, others=others)


def open_data(found: Found, device: torch.device, precision: Precision) -> Opened:
    """The feeds of what was found, once nothing is left to be learned."""
    job, parts, others = found.job, found.parts, found.others
    common: dict[str, Any] = {"device": device, "float_dtype": precision.dtype}
    rows = held_out = found.rows.cast(precision.dtype)  # once, before the memory for them is divided
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
        files=rows.files(),
        state=rows.state(),
    )


def difference(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """(file, what is another about it) of the first file that differs; None where all are the same."""
    then, today = ({str(file["path"]): file for file in files} for files in (before, now))
    for path in [*then, *(path for path in today if path not in then)]:
        if path not in today:
            return path, "it is there no more"
        if path not in then:
            return path, "it was not there then"
        for key, words in (("size", "bytes"), ("rows", "rows")):
            if then[path].get(key) != today[path].get(key):
                return path, f"it had {then[path].get(key):,} {words} then, and has {today[path].get(key):,} now"
        if then[path].get("content") != today[path].get("content"):
            return path, "its content is another, by the hash of what it says of itself"
        if then[path].get("version") != today[path].get("version"):
            return path, "it has been written again since, or copied without its time"
    return None if list(then) == list(today) else (next(iter(today)), "the files stand in another order")


def _open_like(source: Source, data: Source, rows: Rows) -> Rows:
    """A table to validate or test with is read as the training data is, where it does not say otherwise: text as text, too."""
    if isinstance(source, Columns) and isinstance(data, Columns):
        source = source.like(data)
    if isinstance(source, Table) and isinstance(rows, TableRows):
        return source.open(text=[field.name for field in rows.schema if is_text(field.type)])
    return source.open()
