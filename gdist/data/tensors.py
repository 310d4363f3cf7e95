"""Data that is in memory already: torch tensors or NumPy arrays, all of the same length."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from gdist.data.batch import Batch
from gdist.data.identity import total
from gdist.data.source import Column, Rows, Source
from gdist.description import calling_line, nearest
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch
    from torch import Tensor

_HASHED_BYTES = 1 << 26  # at a time


class Tensors(Source):
    """``Tensors(features=x, target=y)``: arrays whose first dimension is the sample. They are not copied where torch
    can share their memory: leave them alone while a run uses them."""

    features: Any = Field(description="tensor or array, shape (rows, ...): what the model sees")
    target: Any = Field(default=None, description="tensor or array, shape (rows, ...): what the model should say")
    extra: dict[str, Any] = Field(default={}, description="further columns by name, shape (rows, ...) each, such as a weight")

    @model_validator(mode="after")
    def _same_length(self) -> Tensors:
        lengths = {name: _length(name, value) for name, value in self.named().items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"`{name}` {length}" for name, length in lengths.items())
            raise DataError("the arrays differ in their number of rows", where=calling_line("target"), note=f"rows: {listed}")
        if not lengths["features"]:
            raise DataError("the data is empty: `features` has no rows", where=calling_line("features"))
        return self

    def named(self) -> dict[str, Any]:
        """The arrays as given, by the name that they have in a batch."""
        for name in ("features", "target"):
            if name in self.extra:
                raise DataError(f"`extra` has a column `{name}`", help=f"pass it as {name}=")
        target = {} if self.target is None else {"target": self.target}
        return {"features": self.features, **target, **self.extra}

    def open(self) -> TensorRows:
        return TensorRows({name: to_tensor(name, value) for name, value in self.named().items()})

    def describe(self) -> dict[str, Any]:
        columns = {
            name: f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}" for name, value in self.named().items()
        }
        return {"kind": "Tensors", "columns": columns, "fingerprint": self.open().fingerprint()}


class TensorRows(Rows):
    """Row-major tensors in this process's memory.

    ``identity`` gives the fingerprint where the content need not be hashed for it: rows that were cast are the same data.
    """

    def __init__(self, tensors: dict[str, Tensor], *, identity: Callable[[], str] | None = None) -> None:
        self._tensors = tensors
        self._items = tuple(tensors.items())
        self._identity = identity
        self._fingerprint: str | None = None
        self._cast: dict[torch.dtype, TensorRows] = {}
        self._length = len(self._items[0][1])
        self._stamps: np.ndarray | None = None  # of all rows, once one is taken

    def __len__(self) -> int:
        return self._length

    def take(self, rows: np.ndarray) -> Batch:
        import torch

        if self._stamps is None:
            self._stamps = self._all_stamps()
        chosen = torch.from_numpy(rows)
        columns = {name: tensor.index_select(0, chosen) for name, tensor in self._items}
        return Batch(columns, stamp=total(self._stamps.take(rows)))

    def fingerprint(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = self._identity() if self._identity else self._hash()
        return self._fingerprint

    def content_key(self) -> str:
        return self.fingerprint()

    def columns(self) -> dict[str, Column]:
        return {name: Column(tuple(tensor.shape[1:]), tensor.dtype) for name, tensor in self._items}

    def read_column(self, name: str) -> Iterator[pa.Array]:
        import pyarrow as pa

        tensor = dict(self._items).get(name)
        if tensor is None:
            there = [name for name, _ in self._items]
            near = nearest(name, there)
            listed = ", ".join(f"`{name}`" for name in there)
            raise DataError(
                f"no column `{name}`, which splits the data",
                note=f"columns: {listed}",
                help=f"did you mean `{near}`?" if near else None,
            )
        if tensor.ndim > 1 and tensor[0].numel() != 1:
            raise DataError(f"`{name}` has shape {list(tensor.shape)}: a split needs one value a row")
        yield pa.array(tensor.reshape(-1).numpy())

    def cast(self, floats: torch.dtype) -> TensorRows:
        if floats not in self._cast:
            tensors = {name: t.to(floats) if t.is_floating_point() else t for name, t in self._items}
            same = all(tensors[name] is t for name, t in self._items)
            self._cast[floats] = self if same else TensorRows(tensors, identity=self.fingerprint)
        return self._cast[floats]

    def _all_stamps(self) -> np.ndarray:
        import numpy as np

        return self.identities(np.arange(self._length, dtype=np.int64))

    def _hash(self) -> str:
        import torch

        digest = hashlib.sha256()
        for name, tensor in self._items:
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            content = tensor.reshape(-1).view(torch.uint8).numpy()
            for first in range(0, len(content), _HASHED_BYTES):
                digest.update(content[first : first + _HASHED_BYTES].data)
        return digest.hexdigest()[:32]


def to_tensor(name: str, value: Any) -> Tensor:
    """A contiguous CPU tensor; shares memory where it can. Raises DataError for what is not numbers."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous()
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise DataError(
            f"`{name}` holds {array.dtype}, not numbers", help="turn it into numbers first, categories into integer codes"
        )
    # torch computes little on wider unsigned integers, and has no long double.
    widened = {"u2": np.int32, "u4": np.int64, "u8": np.int64, "f16": np.float64}.get(
        f"{array.dtype.kind}{array.dtype.itemsize}"
    )
    array = np.ascontiguousarray(array, dtype=widened or array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _length(name: str, value: Any) -> int:
    shape = getattr(value, "shape", None)
    if not shape:
        kind = "a single number" if shape == () else type(value).__name__
        raise DataError(f"`{name}` is {kind}, not an array", help="pass torch tensors or NumPy arrays, samples first")
    return int(shape[0])
