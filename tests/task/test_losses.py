"""Named losses are torch's, in the shapes that models give, and wrong shapes and labels are refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from gdist.errors import DataError, JobError
from gdist.job import measures
from gdist.task.losses import LOSSES, named

N = torch.linspace(-2, 2, 12, dtype=torch.float64)
Y = torch.linspace(1, -1, 12, dtype=torch.float64)


def test_every_name_that_a_job_may_use_has_its_function() -> None:
    assert list(LOSSES) == list(measures.LOSSES)


def test_losses_of_numbers_are_torchs() -> None:
    assert named("mse")(N, Y) == functional.mse_loss(N, Y)
    assert named("mae")(N, Y) == functional.l1_loss(N, Y)
    assert named("huber")(N, Y) == functional.huber_loss(N, Y)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "binary_cross_entropy", "hinge"])
def test_a_column_is_compared_row_by_row_not_all_with_all(name: str) -> None:
    target = (Y > 0).double()
    assert named(name)(N[:, None], target) == named(name)(N, target) == named(name)(N, target[:, None])


def test_cross_entropy_takes_class_numbers_probabilities_and_sequences() -> None:
    scores, classes = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = functional.cross_entropy(scores, classes)
    loss = named("cross_entropy")
    assert loss(scores, classes) == loss(scores, classes[:, None]) == loss(scores, classes.to(torch.uint8)) == expected
    torch.testing.assert_close(loss(scores, functional.one_hot(classes, 4).double()), expected)
    assert loss(scores.reshape(2, 3, 4), classes.reshape(2, 3)) == expected


def test_binary_cross_entropy_takes_scores() -> None:
    target = (Y > 0).double()
    by_hand = -(target * N.sigmoid().log() + (1 - target) * (1 - N.sigmoid()).log()).mean()
    torch.testing.assert_close(named("binary_cross_entropy")(N, target), by_hand)
    assert named("binary_cross_entropy")(N, target.long()) == named("binary_cross_entropy")(N, target)


def test_hinge_reads_both_kinds_of_labels_alike_and_is_its_formula() -> None:
    zero_one = (Y > 0).long()
    signs = zero_one * 2 - 1
    by_hand = (1 - signs * N).clamp(min=0).mean()
    assert named("hinge")(N, zero_one) == named("hinge")(N, signs) == by_hand
    scores, classes = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0, 1])
    assert named("hinge")(scores, classes) == functional.multi_margin_loss(scores, classes)


def test_the_mean_over_rows_is_the_weighted_mean_over_parts() -> None:
    scores, classes = torch.randn(10, 3, dtype=torch.float64), torch.arange(10) % 3
    for name, outputs, target in (("cross_entropy", scores, classes), ("hinge", scores, classes), ("mse", N[:10], Y[:10])):
        loss = named(name)
        parts = sum(loss(outputs[a:b], target[a:b]) * (b - a) for a, b in ((0, 3), (3, 4), (4, 10))) / 10
        torch.testing.assert_close(parts, loss(outputs, target), rtol=1e-12, atol=0)


def test_shapes_that_do_not_match_are_refused_instead_of_broadcast() -> None:
    with pytest.raises(JobError, match=r"outputs \[12, 2\] do not match the targets \[12\]"):
        named("mse")(N[:, None].expand(12, 2), Y)
    with pytest.raises(JobError, match=r"outputs \[1, 12\] do not match the targets \[12\]"):
        named("mae")(N[None], Y)
    with pytest.raises(JobError, match="classes come last"):
        named("cross_entropy")(torch.randn(2, 7, 5), torch.zeros(2, 5, dtype=torch.long))


@pytest.mark.parametrize("name", ["cross_entropy", "hinge"])
@pytest.mark.parametrize("wrong", [4, -100])
def test_a_class_without_an_output_is_named(name: str, wrong: int) -> None:
    with pytest.raises(DataError) as caught:
        named(name)(torch.randn(3, 4), torch.tensor([0, wrong, 3]))
    assert caught.value.what == f"the target has class {wrong}, and the model has outputs for classes 0 to 3"
    assert caught.value.note == "1 of 3 rows of this micro-batch"
    assert ("ignore_index" in (caught.value.help or "")) == (wrong < 0)


def test_labels_of_minus_one_are_no_labels_of_binary_cross_entropy() -> None:
    with pytest.raises(DataError, match=r"takes targets in \[0, 1\], and there is -1"):
        named("binary_cross_entropy")(torch.zeros(2), torch.tensor([-1, 1]))


def test_an_unknown_loss_is_answered_with_the_nearest() -> None:
    with pytest.raises(JobError, match=r"did you mean 'cross_entropy'\?"):
        named("crossentropy")
