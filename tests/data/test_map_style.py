"""Map-style datasets: every shape of sample, and errors with the sample's number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from gdist.data import Batch, MapStyle
from gdist.errors import DataError, UserCodeError
from tests.data.datasets import Squares


class Samples:
    """Whatever ``make`` returns for a number; not a torch Dataset by class."""

    def __init__(self, make: Any, n: int = 10) -> None:
        self.make, self.n = make, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return self.make(i)


def take(dataset: Any, *numbers: int, **fields: Any) -> Batch:
    return MapStyle(dataset=dataset, **fields).open().take(np.array(numbers, dtype=np.int64))


def test_tuples_dicts_and_tensors_become_named_columns() -> None:
    pair = take(Squares(), 3, 5)
    assert pair.features.tolist() == [[3, 3], [5, 5]]
    assert pair.target.tolist() == [9, 25]
    named = take(Samples(lambda i: {"input_ids": torch.tensor([i]), "label": i}), 2)
    assert {name: column.tolist() for name, column in named.columns.items()} == {"input_ids": [[2]], "label": [2]}
    assert take(Samples(lambda i: torch.tensor([i, i])), 4).features.tolist() == [[4, 4]]
    assert take(Samples(lambda i: np.full(2, i)), 4).features.tolist() == [[4, 4]]
    assert take(Samples(lambda i: i / 2), 3).features.tolist() == [1.5]
    three = take(Samples(lambda i: (i, i, 0.5)), 1, names=("features", "target", "weight"))
    assert three["weight"].tolist() == [0.5]


def test_several_samples_are_fetched_as_the_dataset_likes_it() -> None:
    inner = Squares()
    batch = take(Subset(inner, range(10, 20)), 0, 9)
    assert batch.target.tolist() == [100, 361]
    assert inner.read == {10: 1, 19: 1}


def test_a_collate_function_may_make_the_batch() -> None:
    ragged = Samples(lambda i: torch.ones(i + 1))

    def pad(samples: list[torch.Tensor]) -> Batch:
        return Batch({"features": torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)})

    assert take(ragged, 0, 2, collate=pad).features.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_a_sample_that_cannot_be_read_is_named_with_the_user_s_line() -> None:
    with pytest.raises(UserCodeError, match=r"sample 7 of .*Squares cannot be read") as caught:
        take(Squares(fails=7), 1, 7)
    assert "datasets.py:" in (caught.value.where or "")
    assert "raise RuntimeError" in (caught.value.where or "")
    assert caught.value.note == "RuntimeError: no file for 7"
    assert "map_style.py" not in (caught.value.traceback or "")
    assert "map_style.py" in (caught.value.full_traceback or "")


def test_the_sample_is_named_when_several_are_fetched_at_once() -> None:
    with pytest.raises(UserCodeError, match="sample 2 of"):
        take(Subset(Squares(fails=12), range(10, 20)), 1, 2)


def test_samples_that_do_not_collate_are_described() -> None:
    with pytest.raises(DataError, match=r"samples 0, 2 of .*Samples do not collate") as caught:
        take(Samples(lambda i: (torch.ones(i + 1), i)), 0, 2)
    assert "(float32[1], int), (float32[3], int)" in (caught.value.note or "")
    with pytest.raises(DataError, match="do not collate"):
        take(Samples(lambda i: (None, i)), 0)
    with pytest.raises(UserCodeError, match="do not collate") as failed:
        take(Samples(lambda i: i), 0, collate=lambda samples: samples[99])
    assert failed.value.note == "IndexError: list index out of range"


def test_parts_that_are_no_tensors_are_named_with_the_mend() -> None:
    with pytest.raises(DataError, match="`name` of a sample is list after collation"):
        take(Samples(lambda i: {"features": i, "name": f"row {i}"}), 0)
    with pytest.raises(DataError, match="a sample has 3 parts, but `names` has 2"):
        take(Samples(lambda i: (i, i, i)), 0)
    with pytest.raises(DataError, match=r"`features` has shape \[5\] for a batch of 2 samples"):
        take(Samples(lambda i: i), 0, 1, collate=lambda samples: torch.ones(5))
    with pytest.raises(DataError, match="the data is empty"):
        MapStyle(dataset=Samples(lambda i: i, n=0)).open()


def test_columns_are_learned_from_the_first_sample() -> None:
    assert MapStyle(dataset=Squares()).open().columns() == {"features": ((2,), torch.float32), "target": ((), torch.int64)}
