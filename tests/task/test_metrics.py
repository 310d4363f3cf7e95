"""Metrics are scikit-learn's, however the samples are grouped, and torchmetrics never talks to other workers by itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from torch import Tensor

from gdist.errors import DataError, JobError
from gdist.job import measures
from gdist.task.metrics import _MADE_OF, Metrics

ROWS = 101


def scores(classes: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(ROWS, classes, generator=generator, dtype=torch.float64)
    target = torch.randint(0, max(2, classes), (ROWS,), generator=generator)
    if classes > 1:
        outputs[torch.arange(ROWS), target] += 1.0
    return (outputs, target) if classes > 1 else (outputs[:, 0] + target, target)


def measured(names: list[str], outputs: Tensor, target: Tensor, *, cuts: tuple[int, ...] = ()) -> dict[str, float]:
    """The metrics of the samples cut into groups, each group's states taken and added as workers do."""
    metrics = Metrics(names)
    bounds = [0, *cuts, ROWS]
    total: dict[str, Tensor] = {}
    for first, after in itertools.pairwise(bounds):
        metrics.reset()
        metrics.update(outputs[first:after], target[first:after])
        total = {name: total.get(name, 0) + state.double() for name, state in metrics.states().items()}
    return metrics.compute(total)


def test_every_name_that_a_job_may_use_is_made_of_something() -> None:
    assert list(_MADE_OF) == list(measures.METRICS)


@pytest.mark.parametrize("cuts", [(), (1,), (10, 11, 60)])
def test_metrics_of_classes_are_those_of_scikit_learn_however_the_samples_are_grouped(cuts: tuple[int, ...]) -> None:
    outputs, target = scores(7)
    found = measured(["accuracy", "top5_accuracy", "precision", "recall", "f1"], outputs, target, cuts=cuts)
    said, truth = outputs.argmax(1).numpy(), target.numpy()
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, said), abs=1e-6)
    assert found["top5_accuracy"] == pytest.approx(
        reference.top_k_accuracy_score(truth, outputs.numpy(), k=5, labels=range(7)), abs=1e-6
    )
    for name, theirs in (
        ("precision", reference.precision_score),
        ("recall", reference.recall_score),
        ("f1", reference.f1_score),
    ):
        assert found[name] == pytest.approx(theirs(truth, said, average="macro", zero_division=0), abs=1e-6)


@pytest.mark.parametrize("cuts", [(), (1,), (10, 11, 60)])
def test_metrics_of_two_classes_are_those_of_scikit_learn(cuts: tuple[int, ...]) -> None:
    outputs, target = scores(1)
    found = measured(["accuracy", "precision", "recall", "f1", "auroc"], outputs, target, cuts=cuts)
    said, truth = (outputs > 0).numpy(), target.numpy()
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, said), abs=1e-6)
    assert found["precision"] == pytest.approx(reference.precision_score(truth, said), abs=1e-6)
    assert found["recall"] == pytest.approx(reference.recall_score(truth, said), abs=1e-6)
    assert found["f1"] == pytest.approx(reference.f1_score(truth, said), abs=1e-6)
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(truth, outputs.numpy()), abs=0.01)


@pytest.mark.parametrize("cuts", [(), (1,), (10, 11, 60)])
def test_metrics_of_numbers_are_those_of_scikit_learn_to_many_digits(cuts: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    target = 1000 + torch.randn(ROWS, generator=generator, dtype=torch.float64)
    outputs = (target + 0.3 * torch.randn(ROWS, generator=generator, dtype=torch.float64))[:, None]
    found = measured(["mse", "rmse", "mae", "r2"], outputs, target, cuts=cuts)
    said, truth = outputs[:, 0].numpy(), target.numpy()
    assert found["mse"] == pytest.approx(reference.mean_squared_error(truth, said), rel=1e-9)
    assert found["rmse"] == pytest.approx(math.sqrt(reference.mean_squared_error(truth, said)), rel=1e-9)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(truth, said), rel=1e-9)
    assert found["r2"] == pytest.approx(reference.r2_score(truth, said), rel=1e-6)


def test_a_group_whose_scores_look_like_probabilities_is_read_as_scores_too() -> None:
    outputs, target = torch.tensor([0.2, 0.4, -3.0]), torch.tensor([1, 1, 0])
    metrics = Metrics(["accuracy"])
    metrics.update(outputs[:2], target[:2])  # torchmetrics alone would take these for probabilities below one half
    metrics.update(outputs[2:], target[2:])
    assert metrics.compute(metrics.states()) == {"accuracy": 1.0}


def test_states_keep_their_shapes_and_reset_forgets_only_the_samples() -> None:
    outputs, target = scores(7)
    metrics = Metrics(list(n for n, m in measures.METRICS.items() if m.of_classes))
    assert metrics.states() == {}
    metrics.update(outputs, target)
    full = metrics.states()
    metrics.reset()
    empty = metrics.states()
    assert {n: (s.shape, s.dtype) for n, s in full.items()} == {n: (s.shape, s.dtype) for n, s in empty.items()}
    assert all(not state.any() for state in empty.values())


def test_computing_leaves_this_worker_s_own_states_as_they_are() -> None:
    outputs, target = scores(7)
    metrics = Metrics(["accuracy"])
    metrics.update(outputs, target)
    before = metrics.states()
    metrics.compute({name: 2 * state for name, state in before.items()})
    after = metrics.states()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_labels_of_minus_one_and_one_are_two_classes() -> None:
    outputs = torch.tensor([2.0, -1.0, 3.0, 0.5])
    assert measured_whole(["accuracy"], outputs, torch.tensor([1, -1, -1, 1])) == {"accuracy": 0.75}


def measured_whole(names: list[str], outputs: Tensor, target: Tensor) -> dict[str, float]:
    metrics = Metrics(names)
    metrics.update(outputs, target)
    return metrics.compute(metrics.states())


def test_what_is_not_defined_is_nan_and_not_an_exception() -> None:
    assert math.isnan(measured_whole(["r2"], torch.tensor([1.0]), torch.tensor([2.0]))["r2"])


def test_what_cannot_be_measured_is_refused_with_its_reason() -> None:
    with pytest.raises(JobError, match="top5_accuracy is always 1 with 3 classes"):
        Metrics(["top5_accuracy"]).update(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(JobError, match="needs scores"):
        Metrics(["top5_accuracy"]).update(torch.zeros(2), torch.zeros(2))
    with pytest.raises(DataError, match="has class 9, and the model has outputs for classes 0 to 2"):
        Metrics(["accuracy"]).update(torch.zeros(2, 3), torch.tensor([0, 9]))
    with pytest.raises(JobError, match=r"unknown metric 'acuracy'(.|\n)*did you mean 'accuracy'"):
        Metrics(["acuracy"])


def test_an_initialized_process_group_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        monkeypatch.setattr(torch.distributed, "all_gather", None)  # whoever calls it fails
        outputs, target = scores(7)
        assert set(measured(["accuracy", "auroc"], outputs, target)) == {"accuracy", "auroc"}
    finally:
        torch.distributed.destroy_process_group()


def test_half_precision_outputs_are_measured_in_double() -> None:
    outputs, target = scores(7)
    halves = outputs.bfloat16()
    found = measured_whole(["accuracy"], halves, target)["accuracy"]
    assert found == pytest.approx(float(np.mean((halves.argmax(1) == target).numpy())), abs=1e-6)


def test_torchs_deterministic_mode_is_as_fast_and_stays_on() -> None:
    """torchmetrics would compare each value with each bin: gigabytes for 256 rows of 100 classes."""
    outputs, target = torch.randn(256, 100), torch.arange(256) % 100
    expected = measured(["auroc"], outputs, target)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert measured(["auroc"], outputs, target) == expected
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
