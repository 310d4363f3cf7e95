"""A source is where samples come from: a frozen description that opens rows which can be read by their number.

A description is cheap to make, compare, send and write to job.json; only ``open`` touches the data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ConfigDict

from gdist.data.identity import stamps
from gdist.description import Description

if TYPE_CHECKING:
    import numpy as np
    import torch

    from gdist.data.batch import Batch


class Column(NamedTuple):
    """One named tensor of a source: the shape of a single sample (no row dimension) and its type."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Rows(ABC):
    """Opened data: samples by their raw number, 0 to ``len(rows) - 1``."""

    slow = False  # True: worth reading ahead in a thread (files, user code); False: memory
    deadline_s = 600.0  # the longest that a reader waits for one batch of a slow source

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def take(self, rows: np.ndarray) -> Batch:
        """The samples of these numbers (int64, any order, repeats allowed), in fresh contiguous memory, with the sum of
        their stamps. Bad rows that the data lets pass are left out and counted.

        Raises DataError where the data is not what it says, UserCodeError where user code failed.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A short hash of what the data is: equal on every machine that sees the same data."""

    @abstractmethod
    def columns(self) -> dict[str, Column]:
        """Names, shapes and types of a batch's tensors."""

    def identities(self, rows: np.ndarray) -> np.ndarray:
        """The stamps that the rows of these numbers must carry, by the index alone: int64, shape (len(rows),)."""
        return stamps(0, rows)

    def place(self, row: int) -> str:
        """Where the row of this number lies, in words: ``data/part-3.parquet, row 17``."""
        return f"row {row}"

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
