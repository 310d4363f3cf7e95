"""Datasets of Hugging Face's ``datasets`` library, read from their Arrow tables column by column, never sample by sample."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from gdist.data.map_style import MapStyle
from gdist.data.source import Source
from gdist.data.table import Columns
from gdist.description import Wrong, shown
from gdist.errors import DataError

if TYPE_CHECKING:
    from gdist.data.table_rows import TableRows

_TARGETS = ("target", "label", "labels")
_NUMBER = re.compile(r"u?int\d+|halffloat|float|double|bool")  # Arrow's names


def is_dataset(value: Any) -> bool:
    """Whether it is a ``datasets.Dataset``: known by name, for the library need not be installed."""
    return "datasets.Dataset" in {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}


def _dataset(value: Any) -> Any:
    if is_dataset(value):
        return value
    help = None
    if hasattr(value, "keys") and all(map(is_dataset, value.values())):
        names = list(value)
        help = f"name one of its splits: dataset=splits[{names[0]!r}]" if names else None
    raise Wrong(f"must be a datasets.Dataset, not {shown(type(value))}", help=help)


class HuggingFace(Columns):
    """``HuggingFace(dataset=load_dataset("mnist", split="train"), features="image", target="label", shape=[1, 28, 28])``.

    Class labels are their numbers; images are decoded to ``shape``; arrays have the shape that the dataset says."""

    dataset: Annotated[Any, BeforeValidator(_dataset)] = Field(description="a datasets.Dataset; its format does not matter")

    def open(self) -> TableRows:
        from gdist.data.formats.hugging_face import HuggingFaceReader
        from gdist.data.table_rows import TableRows

        return TableRows(self, [HuggingFaceReader(self.dataset)])

    def describe(self) -> dict[str, Any]:
        from gdist.data.formats.hugging_face import fingerprint

        named = {"rows": len(self.dataset), "fingerprint": fingerprint(self.dataset)}
        return {"kind": "HuggingFace", "dataset": named, **self.model_dump(mode="json", exclude={"dataset"})}


def plainly(dataset: Any) -> Source:
    """What a dataset alone means: its column `target`, `label` or `labels` is the target, `features` the features, or else
    numbers, all of them, or a single column. Several columns of lists keep their names, sample by sample.

    Raises DataError for images, whose shape is not known.
    """
    names = dataset.column_names
    target = next((name for name in _TARGETS if name in names), None)
    features = ["features"] if "features" in names else [name for name in names if name != target]
    kinds = {name: str(dataset.data.table.schema.field(name).type) for name in features}
    images = [name for name in features if type(dataset.features[name]).__name__ == "Image"]
    if images and len(features) == 1:
        named = f", target={target!r}" if target else ""
        raise DataError(
            f"column `{images[0]}` holds images, whose shape must be said",
            help=f"HuggingFace(dataset=..., features={images[0]!r}{named}, shape=[channels, height, width])",
        )
    if len(features) == 1 or all(_NUMBER.fullmatch(kind) for kind in kinds.values()):
        return HuggingFace(dataset=dataset, features=tuple(features), target=target)
    return MapStyle(dataset=dataset.with_format("torch"))
