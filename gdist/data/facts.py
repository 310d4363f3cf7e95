"""What a model may ask about its data before it is made: how wide it is, what its columns are called, which are categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdist.data.columns import TensorPlan
    from gdist.data.learned.learned import Learned
    from gdist.data.source import Column


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """A model's function that has a parameter called ``data`` gets one.

    ``shape``: of one sample's features; ``features``: the name of each of its ``width`` numbers, none where the data has no
    names; ``categories``: how many codes each column has that is one, in any tensor but the target (0 is for what is unknown
    or missing); ``classes``: how many the target has, None where it is no category.

    >>> def network(data: DataFacts):  # doctest: +SKIP
    ...     return nn.Linear(data.width, data.classes)
    """

    shape: tuple[int, ...]
    features: tuple[str, ...] = ()
    categories: Mapping[str, int] = field(default_factory=dict)
    classes: int | None = None

    @property
    def width(self) -> int:
        """Numbers in a sample's features."""
        return math.prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> DataFacts:
        """What ``to_json`` gave, after any trip through JSON."""
        facts: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in content.items()}
        return cls(**facts)

    def place(self, column: str) -> int:
        """Where in the features a column stands, from 0. Raises ValueError where it is not among them."""
        return self.features.index(column)


def facts_of(columns: Mapping[str, Column], plans: Sequence[TensorPlan] = (), learned: Learned | None = None) -> DataFacts:
    """The facts of opened data: its tensors, and of a table's columns how they are made and what was learned of them."""
    by_tensor = {plan.name: plan for plan in plans}
    sizes = {
        (plan.name == "target", name): size
        for plan in plans
        for name in plan.columns
        if learned is not None and (size := learned.categories(name)) is not None
    }
    classes = [size for (of_target, _), size in sizes.items() if of_target]
    return DataFacts(
        shape=columns["features"].shape,
        features=_names(by_tensor["features"]) if "features" in by_tensor else (),
        categories={name: size for (of_target, name), size in sizes.items() if not of_target},
        classes=classes[0] if len(classes) == 1 else None,
    )


def _names(plan: TensorPlan) -> tuple[str, ...]:
    names: list[str] = []
    for name, width in zip(plan.columns, plan.widths, strict=True):
        names += [name] if width == 1 else [f"{name}[{i}]" for i in range(width)]
    return (*names, *(f"{name} is missing" for name in plan.indicators))
