"""A model may ask how wide its data is, what its columns are called, and which of them are categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import nn

from gdist import Job, Task
from gdist.data.columns import plan_tensors
from gdist.data.facts import DataFacts, facts_of
from gdist.data.learned import Recipe
from gdist.data.source import Column
from gdist.errors import JobError
from gdist.task.supervised import make
from tests.data.learned.tables import learned

TABLE = pa.table(
    {
        "age": [1.0, None, 3.0],
        "image": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2)),
        "city": ["b", "a", None],
        "job": ["x", "y", "y"],
        "label": ["no", "yes", "maybe"],
    }
)


def table_facts() -> DataFacts:
    said: dict[str, Any] = {"features": ("age", "image", "city"), "target": "label", "extra": {"codes": ("job", "city")}}
    words: dict[str, Any] = {"categories": ("city", "job"), "fill": {"age": "mean"}, "indicators": True}
    recipe = Recipe.of(TABLE.schema, **said, **words)
    plans = plan_tensors(TABLE.schema, **said, shape=None, dtypes={}, recipe=recipe, where="t.parquet")
    columns = {plan.name: Column(plan.shape, torch.float32) for plan in plans}
    return facts_of(columns, plans, learned(TABLE, **said, **words))


def test_a_table_s_facts_name_every_number_and_count_every_category() -> None:
    facts = table_facts()
    assert facts.features == ("age", "image[0]", "image[1]", "city", "age is missing")
    assert facts.width == len(facts.features)
    assert facts.place("city") == 3
    assert facts.categories == {"city": 3, "job": 3}
    assert facts.classes == 3


def test_tensors_without_names_have_a_shape() -> None:
    facts = facts_of({"features": Column((1, 8, 8), torch.float32), "target": Column((), torch.int64)})
    assert (facts.shape, facts.width, facts.features, facts.categories, facts.classes) == ((1, 8, 8), 64, (), {}, None)


def widths(data: DataFacts, hidden: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(data.width, hidden), nn.Linear(hidden, data.classes or 1))


def test_a_model_that_asks_for_data_gets_its_facts() -> None:
    task = make(Job(model=widths, loss="mse", data=(torch.ones(4, 2), torch.ones(4))), DataFacts(shape=(7,), classes=5))
    assert [tuple(p.shape) for p in task.module.parameters()] == [(4, 7), (4,), (5, 4), (5,)]


def test_a_model_that_does_not_ask_gets_none() -> None:
    job = Job(model=lambda width=2: nn.Linear(width, 1), loss="mse", data=(torch.ones(4, 2), torch.ones(4)))
    assert make(job, DataFacts(shape=(7,))).module.in_features == 2


def test_other_arguments_without_a_default_are_still_asked_for() -> None:
    def model(data: DataFacts, depth: int) -> nn.Module:
        raise AssertionError

    with pytest.raises(JobError, match="needs an argument `depth`"):
        Job(model=model, loss="mse", data=(torch.ones(4, 2), torch.ones(4)))


@dataclass
class _Seen:
    facts: DataFacts | None = None


SEEN = _Seen()


class Asking(Task):
    def __init__(self, job: Job, data: DataFacts) -> None:
        super().__init__(job)
        self.module = nn.Linear(data.width, 1)
        SEEN.facts = data


def test_a_task_of_one_s_own_may_ask_too() -> None:
    facts = DataFacts(shape=(3,))
    make(Job(task=Asking, data=(torch.ones(4, 3), torch.ones(4))), facts)
    assert SEEN.facts is facts
