"""The moving average follows its formula, and the model has its own weights back after each look through it."""

from __future__ import annotations

import pytest
import torch

from gdist.optim import EMA


def test_the_average_is_its_formula() -> None:
    weight = torch.tensor([1.0, -2.0], dtype=torch.float64)
    average = EMA({"w": weight}, decay=0.9)
    expected = weight.clone()
    for step in range(20):
        weight += 0.5 * step
        average.update()
        expected = 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(average.state()["w"], expected, rtol=1e-12, atol=0)


def test_inside_swapped_in_the_model_is_the_average_and_outside_the_same_bits_as_before() -> None:
    flat = torch.randn(64)
    view = flat[8:16].view(2, 4)
    average = EMA({"part": view}, decay=0.5)
    view.add_(1.0)
    average.update()
    trained, averaged = flat.clone(), average.state()["part"].clone()
    with average.swapped_in():
        assert torch.equal(view, averaged)
        assert torch.equal(flat[8:16].view(2, 4), averaged)  # in the same memory
    assert torch.equal(flat, trained)
    assert torch.equal(average.state()["part"], averaged)


def test_an_error_inside_gives_the_weights_back() -> None:
    weight = torch.ones(3)
    average = EMA({"w": weight}, decay=0.5)
    weight.fill_(3.0)
    with pytest.raises(ZeroDivisionError), average.swapped_in():
        raise ZeroDivisionError
    assert torch.equal(weight, torch.full((3,), 3.0))


def test_a_restored_average_goes_on_as_the_uninterrupted_one() -> None:
    weight = torch.zeros(5)
    through, restored = EMA({"w": weight}, decay=0.8), EMA({"w": weight}, decay=0.8)
    for step in range(4):
        weight += step
        through.update()
    restored.load_state({name: tensor.clone() for name, tensor in through.state().items()})
    weight -= 3
    through.update()
    restored.update()
    assert torch.equal(through.state()["w"], restored.state()["w"])


def test_whole_numbers_are_left_alone() -> None:
    average = EMA({"count": torch.tensor(3), "w": torch.ones(1)}, decay=0.5)
    average.update()
    assert list(average.state()) == ["w"]
