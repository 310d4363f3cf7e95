"""A batch: named tensors, slices without copies, errors that say what is there."""

from __future__ import annotations

import pytest
import torch

from gdist.data import Batch
from gdist.errors import DataError


@pytest.fixture
def batch() -> Batch:
    return Batch({"features": torch.arange(12.0).view(4, 3), "target": torch.arange(4), "weight": torch.ones(4)})


def test_names_and_rows(batch: Batch) -> None:
    assert batch.rows == 4
    assert batch.features.shape == (4, 3)
    assert batch["weight"].sum() == 4
    assert list(batch) == ["features", "target", "weight"]
    assert "target" in batch
    assert "mask" not in batch
    assert Batch({}).rows == 0


def test_a_slice_shares_the_batch_s_memory(batch: Batch) -> None:
    part = batch.slice(1, 3)
    assert part.rows == 2
    assert part.features.data_ptr() == batch.features[1].data_ptr()
    part.features.zero_()
    assert batch.features[1:3].abs().sum() == 0


def test_it_unpacks_into_keyword_arguments(batch: Batch) -> None:
    def model(*, features: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> int:
        return len(features) + len(target) + len(weight)

    assert model(**batch) == 12


def test_only_floating_columns_change_their_type(batch: Batch) -> None:
    wide = batch.to("cpu", dtype=torch.float64)
    assert (wide.features.dtype, wide.target.dtype, wide["weight"].dtype) == (torch.float64, torch.int64, torch.float64)
    assert batch.to(dtype=torch.float32).features is batch.features


def test_a_missing_column_is_an_error_that_names_what_is_there(batch: Batch) -> None:
    with pytest.raises(DataError, match="no `mask`") as caught:
        batch["mask"]
    assert caught.value.note == "it has `features`, `target`, `weight`"
    with pytest.raises(DataError, match="no `target`") as caught:
        _ = Batch({"features": torch.ones(1)}).target
    assert "target column" in (caught.value.help or "")
