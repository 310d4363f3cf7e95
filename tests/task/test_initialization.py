"""He's and Glorot's variances, and nothing else is touched."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gdist.errors import JobError
from gdist.task.initialization import initialize


def test_weights_have_he_s_or_glorot_s_variance_and_biases_are_zero() -> None:
    layers = {"linear": nn.Linear(400, 200), "convolution": nn.Conv2d(16, 128, 5)}
    fans = {"linear": (400, 200), "convolution": (16 * 25, 128 * 25)}
    for name, layer in layers.items():
        fan_in, fan_out = fans[name]
        initialize(layer, "he", generator=torch.Generator().manual_seed(0))
        assert float(layer.weight.detach().var()) == pytest.approx(2 / fan_in, rel=0.05)
        initialize(layer, "xavier", generator=torch.Generator().manual_seed(0))
        assert float(layer.weight.detach().var()) == pytest.approx(2 / (fan_in + fan_out), rel=0.05)
        assert layer.bias is not None
        assert not layer.bias.detach().any()


def test_norms_and_embeddings_stay_and_equal_seeds_give_equal_weights() -> None:
    def make(seed: int) -> nn.Module:
        module = nn.Sequential(nn.Embedding(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
        return initialize(module, "he", generator=torch.Generator().manual_seed(seed))

    torch.manual_seed(0)
    one = make(1)
    torch.manual_seed(0)
    other = nn.Sequential(nn.Embedding(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    assert torch.equal(one[0].weight, other[0].weight)  # type: ignore[index]
    assert torch.equal(one[2].weight, make(1)[2].weight)  # type: ignore[index]
    assert not torch.equal(one[2].weight, make(2)[2].weight)  # type: ignore[index]


def test_a_model_without_such_layers_is_refused() -> None:
    with pytest.raises(JobError, match="finds no linear or convolutional layer"):
        initialize(nn.LayerNorm(3), "he")
