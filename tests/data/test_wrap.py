"""What may be passed as data as it is, and what is refused with the mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from gdist.data import MapStyle, Parquet, Tensors, as_source
from gdist.errors import DataError
from tests.data.datasets import Squares


def test_a_source_is_itself() -> None:
    source = Parquet(path="x.parquet")
    assert as_source(source) is source


@pytest.mark.parametrize(
    "value", [(np.ones((3, 2)), np.ones(3)), [torch.ones(3, 2), np.ones(3)], TensorDataset(torch.ones(3, 2), torch.ones(3))]
)
def test_pairs_of_arrays_become_tensors(value: Any) -> None:
    source = as_source(value)
    assert isinstance(source, Tensors)
    assert source.open().take(np.array([0])).target.tolist() == [1]


def test_dicts_of_arrays_keep_their_names() -> None:
    source = as_source({"features": np.ones((3, 2)), "target": np.ones(3), "weight": np.zeros(3)})
    assert list(source.open().columns()) == ["features", "target", "weight"]


def test_an_array_alone_is_features() -> None:
    assert list(as_source(torch.ones(3, 2)).open().columns()) == ["features"]


def test_datasets_become_map_style() -> None:
    assert isinstance(as_source(Squares()), MapStyle)
    assert isinstance(as_source(TensorDataset(*[torch.ones(3)] * 3)), MapStyle)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("value", "what", "mend"),
    [
        ("train.parquet", "data is the path 'train.parquet'", "data=Parquet(path='train.parquet')"),
        (Path("train.parquet"), "data is the path", "Parquet(path="),
        ((1, 2), "a tuple of 2 (int, int)", "(x, y)"),
        ((np.ones(3),) * 3, "a tuple of 3", "extra="),
        ({"x": np.ones(3)}, "no `features`: it has `x`", "Tensors("),
        (DataLoader(Squares()), "data is a DataLoader", "data=loader.dataset"),
        (Stream(), "iterable dataset", "__getitem__"),
        (pa.table({"x": [1]}), "data is a Table", "Parquet"),
        (42, "data is a int", "Parquet(path=...)"),
        (None, "data is a NoneType", "Parquet(path=...)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_with_the_mend(value: Any, what: str, mend: str) -> None:
    with pytest.raises(DataError) as caught:
        as_source(value)
    assert what in caught.value.what
    assert mend in (caught.value.help or "")
