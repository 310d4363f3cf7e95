"""Any map-style torch Dataset: whatever has ``__len__`` and ``__getitem__`` gives samples, which are collated into batches."""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gdist.data.batch import Batch
from gdist.data.drawing import Drew, Watch, sample_seeds, seeded
from gdist.data.identity import total
from gdist.data.source import Column, Rows, Source
from gdist.errors import DataError, GdistError, UserCodeError

if TYPE_CHECKING:
    import numpy as np


class MapStyle(Source):
    """``MapStyle(dataset=...)``. A sample is a tensor or number (``features``), a tuple (named by ``names``), or a dict
    (its keys are the names; ``features`` and ``target`` are what gdist looks for by itself)."""

    dataset: Any = Field(description="a torch Dataset, or anything with __len__ and __getitem__(int)")
    names: tuple[str, ...] = Field(default=("features", "target"), description="of a tuple's parts, in their order")
    collate: Callable[[list[Any]], Any] | None = Field(
        default=None, description="samples -> tensor, tuple, dict or Batch; torch's default_collate if not set"
    )
    deadline_s: float = Field(default=600.0, gt=0, description="s: the longest that one batch may take to read")

    def open(self) -> MapRows:
        return MapRows(self)

    def describe(self) -> dict[str, Any]:
        collate = None if self.collate is None else getattr(self.collate, "__qualname__", _name(type(self.collate)))
        named = {"dataset": _name(type(self.dataset)), "rows": len(self.dataset), "names": list(self.names), "collate": collate}
        return {"kind": "MapStyle", **named}


class MapRows(Rows):
    """Samples of a dataset. It is called by one thread at a time, also where training and held-out rows are of one dataset."""

    slow = True

    def __init__(self, source: MapStyle) -> None:
        self._source = source
        self._dataset = source.dataset
        self.deadline_s = source.deadline_s
        self._length = len(source.dataset)
        self._one_at_a_time = threading.Lock()
        self._draws = False  # whether a sample was seen to draw from a default generator
        if not self._length:
            raise DataError("the data is empty: the dataset has no sample", where=_name(type(source.dataset)))

    def __len__(self) -> int:
        return self._length

    def take(self, rows: np.ndarray) -> Batch:
        return self.draw(rows, seed=0, epoch=0)

    def draw(self, rows: np.ndarray, *, seed: int, epoch: int) -> Batch:
        with self._one_at_a_time:
            batch = None if self._draws else self._watched(rows.tolist())
            if batch is None:
                self._draws = True
                batch = self._seeded(rows, seed=seed, epoch=epoch)
        batch.stamp = total(self.identities(rows))
        return batch

    def _watched(self, numbers: list[int]) -> Batch | None:
        """The samples as they are; None if the dataset draws random numbers, which must be seeded."""
        watch = Watch()
        batch = None
        try:
            with watch:
                samples = self._samples(numbers)
                if self._source.collate is not None:
                    batch = self._collate(samples, numbers)
        except (Drew, GdistError):
            if not watch.drew:
                raise
        if watch.drew:
            return None
        return batch if batch is not None else self._collate(samples, numbers)

    def _seeded(self, rows: np.ndarray, *, seed: int, epoch: int) -> Batch:
        """The samples one by one, each with its own random numbers; collating goes on with those of the last."""
        numbers = rows.tolist()
        with seeded() as begin:
            samples = []
            for number, own in zip(numbers, sample_seeds(rows, seed=seed, epoch=epoch), strict=True):
                begin(own)
                samples.append(self._sample(number))
            return self._collate(samples, numbers)

    def fingerprint(self) -> str:
        """Over the dataset's class and length: its samples may cost much, or be drawn anew at each call."""
        return hashlib.sha256(f"{_name(type(self._dataset))} {self._length}".encode()).hexdigest()[:32]

    def columns(self) -> dict[str, Column]:
        import numpy as np

        first = self.take(np.zeros(1, dtype=np.int64))
        return {name: Column(tuple(tensor.shape[1:]), tensor.dtype) for name, tensor in first.columns.items()}

    def _samples(self, numbers: list[int]) -> list[Any]:
        """By the dataset's own way to fetch several at once, where it has one, as torch's DataLoader does."""
        fetch_many = getattr(self._dataset, "__getitems__", None)
        if fetch_many is not None:
            try:
                return list(fetch_many(numbers))
            except Exception:  # found again below, with its sample's number
                pass
        return [self._sample(number) for number in numbers]

    def _sample(self, number: int) -> Any:
        try:
            return self._dataset[number]
        except GdistError:
            raise
        except Exception as error:
            raise _user_error(f"sample {number} of {_name(type(self._dataset))} cannot be read", error) from error

    def _collate(self, samples: list[Any], numbers: list[int]) -> Batch:
        from torch.utils.data import default_collate

        collate = self._source.collate or default_collate
        try:
            collated = collate(samples)
        except Exception as error:
            what = f"samples {_listed(numbers)} of {_name(type(self._dataset))} do not collate into a batch"
            if self._source.collate is not None:
                raise _user_error(what, error) from error
            raise DataError(
                what,
                where=_name(type(self._dataset)),
                note=f"{_shapes(samples)}; {type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                help="let samples be numbers or tensors of one shape, or set collate= to make the batch",
            ) from error
        return self._named(collated, rows=len(numbers))

    def _named(self, collated: Any, *, rows: int) -> Batch:
        import torch

        if isinstance(collated, Batch):
            columns = dict(collated.columns)
        elif isinstance(collated, Mapping):
            columns = dict(collated)
        elif isinstance(collated, torch.Tensor):
            columns = {"features": collated}
        elif isinstance(collated, Sequence) and not isinstance(collated, str):
            if len(collated) > len(self._source.names):
                raise DataError(
                    f"a sample has {len(collated)} parts, but `names` has {len(self._source.names)}",
                    where=_name(type(self._dataset)),
                    help="name all parts, as in MapStyle(dataset=..., names=('features', 'target', 'weight'))",
                )
            columns = dict(zip(self._source.names, collated, strict=False))
        else:
            columns = {"features": collated}
        for name, column in columns.items():
            if not isinstance(column, torch.Tensor):
                raise DataError(
                    f"`{name}` of a sample is {type(column).__name__} after collation, not a tensor",
                    where=_name(type(self._dataset)),
                    help="let the dataset give numbers or tensors, leave the part out, or set collate= to make the batch",
                )
            if column.ndim == 0 or column.shape[0] != rows:
                raise DataError(
                    f"`{name}` has shape {list(column.shape)} for a batch of {rows} samples",
                    where=_name(type(self._dataset)),
                    help="collate= must keep the samples as the first dimension",
                )
        return Batch({name: column.contiguous() for name, column in columns.items()})


def _user_error(what: str, error: Exception) -> UserCodeError:
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is this module's own
    last = frames[-1] if frames else None
    return UserCodeError(
        what,
        where=f"{Path(last.filename)}:{last.lineno} in {last.name}: {last.line}" if last else None,
        note=f"{type(error).__name__}: {error}",
        traceback="".join(["Traceback (most recent call last):\n", *traceback.format_list(frames)])
        + "".join(traceback.format_exception_only(error)),
        full_traceback="".join(traceback.format_exception(error)),
    )


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ in ("__main__", "builtins") else f"{kind.__module__}.{kind.__qualname__}"


def _shapes(samples: list[Any]) -> str:
    """What the samples look like, each kind once: ``(float32[1, 8], int)``."""
    kinds = list(dict.fromkeys(_shape(sample) for sample in samples))
    return "samples look like " + ", ".join(kinds[:4])


def _shape(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shape(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(_shape, value)) + ")"
    return type(value).__name__


def _listed(values: Sequence[Any], most: int = 8) -> str:
    return ", ".join(str(value) for value in values[:most]) + (" ..." if len(values) > most else "")
