"""What a user passes as data, as a source: arrays, dicts of arrays and torch Datasets are accepted as they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gdist.data.hugging_face import is_dataset, plainly
from gdist.data.map_style import MapStyle
from gdist.data.source import Source
from gdist.data.tensors import Tensors
from gdist.errors import DataError

_TAKES = "data takes Parquet(path=...), Tensors(features=..., target=...), MapStyle(dataset=...), (x, y), or a torch Dataset"


def as_source(value: Any) -> Source:
    """A Source as it is; (x, y) or {"features": x, "target": y, ...} arrays as Tensors; a map-style Dataset as MapStyle.

    Raises DataError with the mend for anything else.
    """
    if isinstance(value, Source):
        return value
    if isinstance(value, (str, os.PathLike)):
        raise DataError(f"data is the path {os.fspath(value)!r}, not a source", help=f"data=Parquet(path={os.fspath(value)!r})")
    if _is_array(value):
        return Tensors(features=value)
    if isinstance(value, (tuple, list)):
        if len(value) == 2 and all(map(_is_array, value)):
            return Tensors(features=value[0], target=value[1])
        kinds = ", ".join(type(part).__name__ for part in value[:4]) + (" ..." if len(value) > 4 else "")
        raise DataError(
            f"data is a {type(value).__name__} of {len(value)} ({kinds}), not of two arrays",
            help="pass (x, y) as tensors or NumPy arrays; more columns: Tensors(features=x, target=y, extra={'weight': w})",
        )
    if is_dataset(value) and value.format["type"] is None:
        return plainly(value)
    if isinstance(value, Mapping):
        if value and all(map(is_dataset, value.values())):
            parts = [f"{role}=splits[{name!r}]" for role, name in zip(("data", "validation", "test"), value, strict=False)]
            names = ", ".join(f"`{name}`" for name in value)
            raise DataError(f"data is a dict of the datasets {names}", help=", ".join(parts))
        if "features" not in value:
            names = ", ".join(f"`{name}`" for name in value) or "nothing"
            raise DataError(f"the dict of arrays has no `features`: it has {names}", help=_TAKES)
        extra = {name: array for name, array in value.items() if name not in ("features", "target")}
        return Tensors(features=value["features"], target=value.get("target"), extra=extra)
    bases = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    if "torch.DataLoader" in bases:
        raise DataError(
            "data is a DataLoader", help="pass its dataset: data=loader.dataset; batch_size and shuffle are fields of the job"
        )
    if bases & {"torch.IterableDataset", "datasets.IterableDataset"}:
        raise DataError(
            "data is an iterable dataset, which has no sample number i", help="give it __len__ and __getitem__(i) (map-style)"
        )
    if "pandas.DataFrame" in bases or "pyarrow.Table" in bases:
        raise DataError(
            f"data is a {type(value).__name__}",
            help="write it as Parquet, or pass Tensors(features=array, target=array) of its columns",
        )
    if "torch.TensorDataset" in bases and len(value.tensors) <= 2:
        return Tensors(**dict(zip(("features", "target"), value.tensors, strict=False)))
    if hasattr(value, "__getitem__") and hasattr(value, "__len__") and not isinstance(value, (bytes, bytearray)):
        return MapStyle(dataset=value)
    raise DataError(f"data is a {type(value).__name__}, from which no samples can be read", help=_TAKES)


def _is_array(value: Any) -> bool:
    """Tensors, NumPy arrays and their like; a DataFrame has a shape too, but no dtype."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "__array__")
