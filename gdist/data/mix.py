"""Several sources mixed in fixed proportions: each goes through its own rows in its own order, none twice before all were once.

Proportions act where rows are shuffled, in training; what is held out for validation or test is gone through whole, each row
once. Each source keeps its own bound of memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from gdist.data.source import Source
from gdist.description import Wrong, nearest, refuse, shown

if TYPE_CHECKING:
    from gdist.data.mix_rows import MixRows


def _sources(value: Any) -> Any:
    from gdist.data.wrap import as_source

    if not isinstance(value, Mapping) or len(value) < 2:
        raise Wrong(f"must be a dict of two or more sources by name, not {shown(value)}")
    return {str(name): as_source(each) for name, each in value.items()}


class Mix(Source):
    """``Mix(sources={"web": Parquet(...), "books": Parquet(...)}, proportions={"web": 0.7, "books": 0.3})``. All sources must
    give the same tensors."""

    sources: Annotated[dict[str, Any], BeforeValidator(_sources)] = Field(description="the sources by name")
    proportions: dict[str, float] = Field(description="of the samples, by name of the source; their sum need not be 1")
    epoch: str | None = Field(
        default=None, description="the source whose rows, each once, make an epoch. None: the one that is through first"
    )

    @model_validator(mode="after")
    def _agrees(self) -> Mix:
        names = list(self.sources)
        for name in [*self.proportions, *([self.epoch] if self.epoch is not None else [])]:
            if name not in names:
                near = nearest(name, names)
                help = f"did you mean {near!r}?" if near else None
                refuse(f"`{name}` is no source of this mix: it has {', '.join(map(repr, names))}", help=help)
        for name in names:
            if name not in self.proportions:
                refuse(f"source {name!r} has no proportion", help=f"proportions={{..., {name!r}: 0.5}}")
            if not self.proportions[name] > 0:
                refuse(
                    f"the proportion of {name!r} must be above 0, not {self.proportions[name]:g}", help="leave the source out"
                )
        return self

    def open(self) -> MixRows:
        from gdist.data.mix_rows import MixRows

        return MixRows(self, {name: source.open() for name, source in self.sources.items()})

    def describe(self) -> dict[str, Any]:
        sources = {name: source.describe() for name, source in self.sources.items()}
        return {"kind": "Mix", "sources": sources, "proportions": self.proportions, "epoch": self.epoch}
