"""Arrays in memory: taken by row number, cast once, hashed by content, refused where they are not numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from gdist.data import Tensors
from gdist.errors import DataError, JobError


def test_rows_come_by_number_in_fresh_contiguous_memory() -> None:
    x, y = torch.randn(10, 2, 3), np.arange(10)
    rows = Tensors(features=x, target=y, extra={"weight": np.ones(10, dtype=np.float32)}).open()
    batch = rows.take(np.array([7, 0, 7]))
    assert len(rows) == 10
    assert torch.equal(batch.features, x[[7, 0, 7]])
    assert batch.target.tolist() == [7, 0, 7]
    assert batch["weight"].shape == (3,)
    assert batch.features.is_contiguous()
    assert batch.features.data_ptr() % 64 == 0
    batch.features.zero_()
    assert torch.equal(rows.take(np.array([7])).features[0], x[7])


def test_no_rows_make_an_empty_batch() -> None:
    assert Tensors(features=torch.ones(3, 2)).open().take(np.empty(0, dtype=np.int64)).features.shape == (0, 2)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("float64", torch.float64),
        ("float16", torch.float16),
        (">f4", torch.float32),
        ("uint8", torch.uint8),
        ("uint16", torch.int32),
        ("uint32", torch.int64),
        ("bool", torch.bool),
        ("complex64", torch.complex64),
    ],
)
def test_numpy_types_become_types_that_torch_computes_with(given: str, becomes: torch.dtype) -> None:
    rows = Tensors(features=np.ones((4, 2), dtype=given)).open()
    assert rows.columns()["features"] == ((2,), becomes)
    assert rows.take(np.array([1])).features.tolist() == [[1, 1]]


def test_read_only_strided_and_differentiable_arrays_are_taken() -> None:
    frozen = np.arange(6.0)[::-1]
    frozen.flags.writeable = False
    grown = torch.ones(6, requires_grad=True)
    batch = Tensors(features=frozen, target=grown).open().take(np.array([0, 5]))
    assert batch.features.tolist() == [5.0, 0.0]
    assert not batch.target.requires_grad


def test_floats_are_cast_once_and_integers_are_left() -> None:
    rows = Tensors(features=np.ones((4, 2)), target=np.arange(4)).open()
    cast = rows.cast(torch.float32)
    assert cast.columns()["features"].dtype == torch.float32
    assert cast.columns()["target"].dtype == torch.int64
    assert rows.cast(torch.float32) is cast
    assert rows.cast(torch.float64) is rows
    assert cast.fingerprint() == rows.fingerprint()


def test_the_fingerprint_is_of_names_shapes_and_every_value() -> None:
    x = torch.randn(100, 3)
    changed = x.clone()
    changed[57, 2] += 1

    def fingerprint(**fields: Any) -> str:
        return Tensors(**fields).open().fingerprint()

    same = fingerprint(features=x)
    assert fingerprint(features=x.numpy()) == same
    different = [fingerprint(features=changed), fingerprint(features=x.view(100, 1, 3)), fingerprint(features=x, target=x)]
    assert len({same, *different}) == 4


def test_the_description_is_json() -> None:
    described = Tensors(features=torch.ones(5, 3), target=np.arange(5)).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["columns"] == {"features": "float32[5, 3]", "target": "int64[5]"}


def test_what_cannot_be_used_is_refused_when_it_is_named() -> None:
    with pytest.raises(DataError, match="number of rows") as caught:
        Tensors(features=torch.ones(5, 3), target=torch.ones(4))
    assert caught.value.note == "rows: `features` 5, `target` 4"
    assert "test_tensors.py" in (caught.value.where or "")
    with pytest.raises(DataError, match="empty"):
        Tensors(features=torch.ones(0, 3))
    with pytest.raises(DataError, match="a single number"):
        Tensors(features=torch.tensor(1.0))
    with pytest.raises(DataError, match="`target` is list"):
        Tensors(features=torch.ones(2), target=[1, 2])
    with pytest.raises(DataError, match="`extra` has a column `target`"):
        Tensors(features=torch.ones(2), extra={"target": torch.ones(2)})
    with pytest.raises(JobError, match="unknown field `targets`"):
        Tensors(features=torch.ones(2), targets=torch.ones(2))  # type: ignore[call-arg]


def test_what_is_not_numbers_is_refused_when_it_is_opened() -> None:
    for wrong in (np.array(["a", "b"]), np.array([1, None], dtype=object), np.array(["2020-01-01"] * 2, dtype="datetime64[D]")):
        with pytest.raises(DataError, match="not numbers"):
            Tensors(features=wrong).open()
