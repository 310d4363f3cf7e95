"""A batch: named tensors whose first dimension is the sample.

``features`` and ``target`` are the usual names; others are whatever the source calls them. A batch unpacks like a
mapping, so that a module with keyword arguments is called as ``module(**batch)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gdist.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Batch:
    """``columns``: name -> tensor of shape (rows, ...). All columns have the same number of rows.

    ``stamp``: the sum of the identities of the rows that were read for it (``identity.py``), modulo 2**64; ``bad``: how many
    of those were left out, as the data asked for.
    """

    __slots__ = ("bad", "columns", "stamp")

    def __init__(self, columns: dict[str, Tensor], *, stamp: int = 0, bad: int = 0) -> None:
        self.columns = columns
        self.stamp = stamp
        self.bad = bad

    @property
    def features(self) -> Tensor:
        """Shape (rows, ...): what the model sees."""
        return self["features"]

    @property
    def target(self) -> Tensor:
        """Shape (rows, ...): what the model should say."""
        return self["target"]

    @property
    def rows(self) -> int:
        """The number of samples."""
        for column in self.columns.values():
            return column.shape[0]
        return 0

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self.columns[name]
        except KeyError:
            there = ", ".join(f"`{name}`" for name in self.columns) or "nothing"
            help = "name the target column in the job's data" if name == "target" else None
            raise DataError(f"the batch has no `{name}`", note=f"it has {there}", help=help) from None

    def keys(self) -> Iterator[str]:
        return iter(self.columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @staticmethod
    def joined(parts: list[Batch]) -> Batch:
        """The samples of several batches of the same columns, one after the other, in fresh memory."""
        import torch

        columns = {name: torch.cat([part.columns[name] for part in parts]) for name in parts[0].columns}
        return Batch(columns, stamp=sum(part.stamp for part in parts), bad=sum(part.bad for part in parts))

    def slice(self, start: int, stop: int) -> Batch:
        """Samples ``start`` to ``stop``, as views of this batch's memory."""
        return Batch({name: column[start:stop] for name, column in self.columns.items()})

    def to(
        self, device: torch.device | str | None = None, *, dtype: torch.dtype | None = None, non_blocking: bool = False
    ) -> Batch:
        """The batch on a device; ``dtype`` is for its floating columns (class indices stay integers)."""
        return Batch(
            {
                name: column.to(
                    device=device,
                    dtype=dtype if dtype is not None and column.is_floating_point() else None,
                    non_blocking=non_blocking,
                )
                for name, column in self.columns.items()
            },
            stamp=self.stamp,
            bad=self.bad,
        )

    def pin_memory(self) -> Batch:
        """A copy in page-locked memory, from which a GPU copies without stopping the program."""
        columns = {name: column.pin_memory() for name, column in self.columns.items()}
        return Batch(columns, stamp=self.stamp, bad=self.bad)

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {str(t.dtype).removeprefix('torch.')}{list(t.shape)}" for name, t in self.columns.items())
        return f"Batch({columns})"
