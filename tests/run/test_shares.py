"""The state cut into even parts, and put together again whatever their number."""

from __future__ import annotations

import pytest
import torch

from gdist.errors import CheckpointError
from gdist.run.copies import copy_share
from gdist.run.shares import join, parts_for, share, size_of
from gdist.run.tensor_stream import stream


def state() -> dict[str, dict[str, torch.Tensor]]:
    tied = torch.randn(700, 1000)
    return {
        "model": {
            "a.large": torch.randn(1500, 1000),
            "b.tied": tied,
            "c.tied_too": tied,
            "d.bias": torch.randn(1000).bfloat16(),
            "e.scalar": torch.tensor(3),
            "f.empty": torch.empty(0, 5),
            "g.transposed": torch.randn(900, 700).T,
        },
        "optimizer": {"main/a.large/step": torch.tensor(7.0), "main/a.large/exp_avg": torch.randn(1500, 1000)},
    }


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_together_are_the_state_to_the_bit(parts: int) -> None:
    files = state()
    read: dict[str, list[tuple[dict[str, torch.Tensor], dict[str, str]]]] = {}
    sizes = []
    for number in range(parts):
        pieces, words = share(files, number, parts)
        copy = copy_share(pieces)
        sizes.append(sum(t.numel() * t.element_size() for named in copy.tensors.values() for t in named.values()))
        for file, tensors in copy.tensors.items():
            read.setdefault(file, []).append((tensors, words[file]))
    found = {file: join(each, where="here") for file, each in read.items()}
    assert {file: set(tensors) for file, tensors in found.items()} == {file: set(tensors) for file, tensors in files.items()}
    for file, tensors in files.items():
        for name, tensor in tensors.items():
            assert found[file][name].dtype == tensor.dtype
            assert torch.equal(found[file][name], tensor), name
    assert sum(sizes) == size_of(files)
    assert max(sizes) - min(sizes) < 1 << 20, "the parts are even up to what is never split"


def test_rows_that_are_in_no_part_are_missed() -> None:
    files = state()
    read = []
    for number in (0, 2):
        pieces, words = share(files, number, 3)
        if "model" in pieces:
            read.append((copy_share(pieces).tensors["model"], words["model"]))
    with pytest.raises(CheckpointError, match=r"rows of the tensor|large|tied"):
        join(read, where="here")


def test_a_small_state_is_one_workers_alone() -> None:
    assert parts_for({"model": {"w": torch.zeros(1000)}}, 8) == 1
    assert parts_for(state(), 8) == 8


def test_the_stream_is_what_safetensors_reads() -> None:
    from safetensors.torch import load

    tensors = {
        "half": torch.randn(3).half(),
        "wide": torch.randn(2, 2, dtype=torch.float64),
        "flag": torch.tensor([True, False, True]),
        "number": torch.tensor(5),
        "none": torch.empty(0),
    }
    found = load(b"".join(bytes(piece) for piece in stream(tensors, {"a": "b"})))
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
