"""Datasets that draw random numbers give the same sample at any share of the work, and leave all other draws alone."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gdist.data import Feed, MapStyle, Mix, Tensors
from gdist.data.drawing import sample_seeds
from gdist.errors import UserCodeError
from tests.data.datasets import Squares

DRAWS: dict[str, Callable[[int], Any]] = {
    "rand": lambda i: torch.rand(3),
    "randn": lambda i: torch.randn(2, 3)[0],
    "randint": lambda i: torch.randint(100, (3,)),
    "randint low": lambda i: torch.randint(5, 100, (3,)),
    "randperm": lambda i: torch.randperm(5),
    "uniform_": lambda i: torch.empty(3).uniform_(-1, 1),
    "normal_": lambda i: torch.zeros(3).normal_(),
    "torch.normal": lambda i: torch.normal(0.0, 1.0, (3,)),
    "bernoulli": lambda i: torch.full((50,), 0.5).bernoulli(),
    "multinomial": lambda i: torch.ones(50).multinomial(10),
    "rand_like": lambda i: torch.rand_like(torch.zeros(3)),
    "randint_like": lambda i: torch.randint_like(torch.zeros(3), 1_000),
    "distribution": lambda i: torch.distributions.Normal(0.0, 1.0).sample((3,)),
    "dropout": lambda i: torch.nn.functional.dropout(torch.ones(50)),
    "numpy": lambda i: np.random.rand(3),
    "numpy shuffle": lambda i: np.random.permutation(20),
    "numpy gauss": lambda i: np.random.normal(),
    "python": lambda i: random.random(),
    "python shuffle": lambda i: torch.tensor(random.sample(range(20), 20)),
    "all": lambda i: torch.rand(1).double() + torch.from_numpy(np.random.rand(1)) + random.random() + i,
    "now and then": lambda i: torch.rand(1) if i % 16 == 15 else torch.tensor([float(i)]),
}


class Drawing:
    """Sample i is (what is drawn, i)."""

    def __init__(self, draw: Callable[[int], Any], n: int = 48) -> None:
        self.draw, self.n = draw, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[Any, int]:
        return self.draw(i), i


def epoch_of(draw: Callable[[int], Any], *, size: int, epoch: int = 0, seed: int = 1, skip: int = 0) -> dict[int, list[float]]:
    """Each sample of an epoch by its number, taken ``size`` at a time from position ``skip`` on, read ahead."""
    feed = Feed(MapStyle(dataset=Drawing(draw)).open(), seed=seed)
    spans = [(epoch, at, min(at + size, len(feed))) for at in range(skip, len(feed), size)]
    feed.follow(iter(spans))
    batches = [feed.take(*span) for span in spans]
    feed.close()
    return {int(i): row.reshape(-1).tolist() for batch in batches for row, i in zip(batch.features, batch.target, strict=True)}


@pytest.mark.parametrize("kind", list(DRAWS))
def test_a_sample_is_the_same_at_any_share_of_the_work_and_from_any_position(kind: str) -> None:
    whole = epoch_of(DRAWS[kind], size=48)
    assert sorted(whole) == list(range(48))
    for size, skip in ((1, 0), (7, 0), (16, 32)):
        part = epoch_of(DRAWS[kind], size=size, skip=skip)
        assert part == {i: whole[i] for i in part}
    assert len({tuple(values) for values in whole.values()}) > 40  # not one draw for all
    assert epoch_of(DRAWS[kind], size=48, epoch=1) != whole
    assert epoch_of(DRAWS[kind], size=48, seed=2) != whole


@pytest.mark.parametrize("kind", list(DRAWS))
def test_reading_changes_no_default_generator(kind: str) -> None:
    torch.manual_seed(5)
    np.random.seed(6)
    random.seed(7)
    expected = torch.rand(4).tolist(), np.random.rand(4).tolist(), [random.random() for _ in range(4)]
    torch.manual_seed(5)
    np.random.seed(6)
    random.seed(7)
    epoch_of(DRAWS[kind], size=5)
    assert (torch.rand(4).tolist(), np.random.rand(4).tolist(), [random.random() for _ in range(4)]) == expected


def test_draws_of_another_thread_go_on_undisturbed() -> None:
    """A model's dropout, while the next batches are read."""
    torch.manual_seed(3)
    expected = [torch.rand(16).tolist() for _ in range(300)]
    whole = epoch_of(DRAWS["all"], size=48)
    feed = Feed(MapStyle(dataset=Drawing(DRAWS["all"])).open(), seed=1)
    spans = [(epoch, at, at + 4) for epoch in range(6) for at in range(0, 48, 4)]
    feed.follow(iter(spans))
    torch.manual_seed(3)
    drawn, seen = [], {}
    for step in range(300):
        drawn.append(torch.rand(16).tolist())
        if step % 5 == 0 and step // 5 < 12:
            batch = feed.take(*spans[step // 5])
            seen |= {int(i): row.tolist() for row, i in zip(batch.features, batch.target, strict=True)}
    feed.close()
    assert drawn == expected
    assert seen == whole


def test_a_dataset_that_draws_nothing_is_read_once_and_by_several_at_a_time() -> None:
    dataset = Squares(20)
    feed = Feed(MapStyle(dataset=dataset).open(), seed=1)
    for at in range(0, 20, 5):
        feed.take(0, at, at + 5)
    assert dataset.read == Counter(range(20))
    feed.close()


def test_draws_with_a_generator_of_the_dataset_s_own_are_its_own_affair() -> None:
    def draw(i: int) -> torch.Tensor:
        return torch.rand(3, generator=torch.Generator().manual_seed(i))

    rows = MapStyle(dataset=Drawing(draw)).open()
    assert rows.take(np.array([3])).features[0].tolist() == draw(3).tolist()
    assert not rows._draws


def test_a_sample_that_fails_after_it_drew_is_named_all_the_same() -> None:
    def draw(i: int) -> float:
        np.random.rand()
        if i == 7:
            raise RuntimeError("no file")
        return 0.0

    with pytest.raises(UserCodeError, match="sample 7 of"):
        MapStyle(dataset=Drawing(draw)).open().take(np.arange(10))


def test_a_collate_function_may_draw_too() -> None:
    def collate(samples: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.rand(len(samples)), torch.tensor([i for _, i in samples])

    rows = [MapStyle(dataset=Drawing(lambda i: i), collate=collate).open() for _ in range(2)]
    first, second = (each.draw(np.array([4, 9]), seed=1, epoch=2).features.tolist() for each in rows)
    assert first == second


def test_sources_of_a_mix_draw_each_for_itself() -> None:
    drawing = MapStyle(dataset=Drawing(lambda i: torch.rand(1)))
    still = Tensors(features=torch.full((48, 1), -1.0), target=torch.arange(48))
    source = Mix(sources={"a": drawing, "b": still, "c": drawing}, proportions={"a": 1, "b": 1, "c": 1})
    feeds = [Feed(source.open(), seed=1) for _ in range(2)]
    whole = feeds[0].take(0, 0, 144).features.tolist()
    parts = [feeds[1].take(0, at, at + 12).features.tolist() for at in range(0, 144, 12)]
    assert [row for part in parts for row in part] == whole
    assert len({tuple(row) for row in whole}) == 97
    for feed in feeds:
        feed.close()


def test_seeds_tell_rows_epochs_and_runs_apart() -> None:
    seeds = [seed for run in range(3) for epoch in range(3) for seed in sample_seeds(np.arange(1_000), seed=run, epoch=epoch)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0


def test_watching_costs_little() -> None:
    """About 3 us a sample and 80 us a batch on an idle core. The thread's own time is counted."""
    rows = MapStyle(dataset=Squares(64)).open()
    best = {}
    for name, read in (("watched", rows.take), ("plain", lambda rows_: [rows._dataset[i] for i in rows_.tolist()])):
        numbers, best[name] = np.arange(64), float("inf")
        for _ in range(30):
            begun = time.thread_time()
            read(numbers)
            best[name] = min(best[name], time.thread_time() - begun)
    assert best["watched"] - best["plain"] < 1.5e-3
