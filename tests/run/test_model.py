"""The model's file: plain torch loads it, tied weights included, and another model's weights are refused by name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model
from torch import nn

from gdist.errors import CheckpointError
from gdist.run import RunFolder
from gdist.run.model import load_into, read_model, weights_sha256


class Tied(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, width)
        self.head = nn.Linear(width, 8, bias=False)
        self.head.weight = self.embedding.weight
        self.norm = nn.BatchNorm1d(width)


def test_tied_weights_are_stored_once_and_load_both_ways(tmp_path: Path) -> None:
    run, model = RunFolder.create(tmp_path, name="x"), Tied()
    path = run.write_model(model.state_dict(), {"gdist.job": "x"})
    assert set(read_model(run.path)) == set(model.state_dict())
    assert path.stat().st_size < 8 * 4 * 4 * 2 + 1000
    ours, theirs = Tied(), Tied()
    load_into(ours, path)
    load_model(theirs, path)
    wanted = weights_sha256(model.state_dict())
    assert weights_sha256(ours.state_dict()) == weights_sha256(theirs.state_dict()) == wanted


def test_parameters_that_are_views_of_one_buffer_are_stored_as_themselves(tmp_path: Path) -> None:
    flat = torch.arange(12.0)
    run = RunFolder.create(tmp_path, name="x")
    run.write_model({"a": flat[:6].view(2, 3), "b": flat[6:], "overlap": flat[4:8]})
    found = read_model(run.path)
    assert torch.equal(found["a"], flat[:6].view(2, 3))
    assert torch.equal(found["b"], flat[6:])
    assert torch.equal(found["overlap"], flat[4:8])


def test_another_models_weights_are_refused_with_the_differences_and_nothing_changes(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, name="x")
    run.write_model(Tied(4).state_dict())
    model = Tied(5)
    before = weights_sha256(model.state_dict())
    with pytest.raises(CheckpointError, match=r"embedding\.weight \(8x4 in the file, 8x5 in the model\)"):
        load_into(model, run.model)
    with pytest.raises(CheckpointError, match="not in the model: embedding"):
        load_into(nn.Linear(2, 2), run.model)
    assert weights_sha256(model.state_dict()) == before


def test_the_hash_is_of_the_raw_bytes_in_the_order_of_names() -> None:
    a, b = torch.randn(2, 3).T, torch.tensor(7)
    expected = hashlib.sha256(a.contiguous().numpy().tobytes() + b.numpy().tobytes()).hexdigest()
    assert weights_sha256({"b": b, "a": a}) == weights_sha256({"a": a, "b": b}) == expected
    assert weights_sha256({"a": b, "b": a}) != expected
    assert weights_sha256({"half": torch.ones(2).bfloat16(), "empty": torch.empty(0)})
