"""A source is where samples come from: a frozen description that opens rows which can be read by their number.

A description is cheap to make, compare, send and write to job.json; only ``open`` touches the data.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ConfigDict

from gdist.data.identity import stamps
from gdist.data.order import Order, UniformOrder
from gdist.description import Description
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from gdist.data.batch import Batch
    from gdist.data.facts import DataFacts
    from gdist.data.index import Index


class Column(NamedTuple):
    """One named tensor of a source: the shape of a single sample (no row dimension) and its type."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Rows(ABC):
    """Opened data: samples by their raw number, 0 to ``len(rows) - 1``."""

    slow = False  # True: its batches are worth making ahead in a thread (user code); False: they are at hand
    ready = True  # False: something must be learned from the rows that train before any is taken
    follows = False  # True: `follow` has an effect, for it reads row groups ahead itself
    bad_rows: Sequence[str] = ()  # the first of those left out as the data asks for: where each lies, and why
    deadline_s = 600.0  # the longest that a reader waits for one batch of a slow source

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def take(self, rows: np.ndarray) -> Batch:
        """The samples of these numbers (int64, any order, repeats allowed), in fresh contiguous memory, with the sum of
        their stamps. Bad rows that the data lets pass are left out and counted.

        Raises DataError where the data is not what it says, UserCodeError where user code failed.
        """

    def draw(self, rows: np.ndarray, *, seed: int, epoch: int) -> Batch:
        """``take`` where samples may hold random numbers: those of the same (seed, epoch, row) are the same."""
        return self.take(rows)

    @abstractmethod
    def fingerprint(self) -> str:
        """A short hash of what the data is: equal on every machine that sees the same data."""

    def content_key(self) -> str | None:
        """A hash of all that tells these rows from any others, content included: what was found out about them is kept in the
        cache under it. None where nothing tells, so that nothing may be kept.

        Of files, it is where each lies, its size and which writing of it this is: a fingerprint need not change with a value.
        """
        files = self.files()
        if not files or not all(file.get("version") for file in files):
            return None
        places = [file["path"] if "://" in file["path"] else os.path.abspath(file["path"]) for file in files]
        return hashlib.sha256(json.dumps([self.fingerprint(), places, files]).encode()).hexdigest()[:32]

    @abstractmethod
    def columns(self) -> dict[str, Column]:
        """Names, shapes and types of a batch's tensors."""

    def facts(self) -> DataFacts:
        """What a model may ask about the data before it is made."""
        from gdist.data.facts import facts_of

        return facts_of(self.columns())

    def read_column(self, name: str) -> Iterator[pa.Array]:
        """The values of one column for all rows, in their order; "target": the target's, where no column is called so.

        Raises DataError for a column that is not there, and where rows cannot be asked for one column.
        """
        raise DataError(
            f"this data cannot be split by `{name}`: its samples have no columns that can be read alone",
            help="hold out a share of the rows (validation=0.1), or pass the parts as separate data",
        )

    def identities(self, rows: np.ndarray) -> np.ndarray:
        """The stamps that the rows of these numbers must carry, by the index alone: int64, shape (len(rows),)."""
        return stamps(0, rows)

    def place(self, row: int) -> str:
        """Where the row of this number lies, in words: ``data/part-3.parquet, row 17``."""
        return f"row {row}"

    def order(self, index: Index, *, seed: int, shuffle: bool, batch_size: int) -> Order:
        """The order in which a run uses the rows of ``index``, ``batch_size`` of them a step."""
        return UniformOrder(index, seed=seed, shuffle=shuffle)

    def follow(self, coming: Iterator[Sequence[int]]) -> None:  # noqa: B027  (most have nothing to do)
        """``coming``: the row groups of each batch that will be taken from now on, in order."""

    def groups_of(self, rows: np.ndarray) -> Sequence[int]:
        """The row groups in which these raw rows lie."""
        return ()

    def files(self) -> list[dict[str, Any]]:
        """The files that the rows lie in, each with what tells whether it is still the same: JSON."""
        return []

    def state(self) -> dict[str, Any]:
        """What was learned from the rows that trained, as whoever uses the trained model needs it: JSON."""
        return {}

    def with_state(self, state: Mapping[str, Any]) -> Rows:
        """The same rows as a run that learned ``state`` sees them."""
        return self

    def divided(self) -> tuple[Rows, Rows]:
        """The same rows twice, to be read at different places at a time."""
        return self, self

    def close(self) -> None:  # noqa: B027
        """Ends what reads in other threads. Idempotent."""

    def cast(self, floats: torch.dtype) -> Rows:
        """The same rows with floating columns as ``floats``, if that is better done once than per batch."""
        return self


class Source(Description, ABC):
    """Base of the descriptions. A subclass adds fields, and ``open``."""

    model_config = ConfigDict(strict=False)  # a list is as good as a tuple

    @abstractmethod
    def open(self) -> Rows:
        """Reads what there is. Raises DataError, which names the file, the column and the mend."""

    def describe(self) -> dict[str, Any]:
        """The description as JSON, for job.json."""
        return {"kind": type(self).__name__, **self.model_dump(mode="json")}
