"""A source's description for other rows than it was written for: at another path, with the features that a model has learned,
without the target that they lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gdist.data.source import Source
from gdist.data.table import Columns, Table
from gdist.errors import DataError

_TABLES = ("Parquet", "Arrow", "CSV", "JSONLines")


def read_at(source: Source, path: str) -> Source:
    """``source`` with another path; of a table, in the format that the path's ending says. Raises DataError."""
    if "path" not in type(source).model_fields:
        raise DataError(
            f"the job's data is {type(source).__name__}, which has no path to replace",
            where=path,
            help="give the data from Python: gdist.predict(RUN, data=...), or gdist.evaluate",
        )
    there = source.model_copy(update={"path": path})
    if isinstance(there, Table) and not path.endswith(there.suffixes()):
        shared = {name: getattr(there, name) for name in Table.model_fields}
        others: list[Table] = [kind(**shared) for kind in _tables()]
        return next((each for each in others if path.endswith(each.suffixes())), there)
    return there


def with_features(source: Source, features: Sequence[str]) -> Source:
    """``source`` with these columns as the features, if it leaves them open: a model has learned their order."""
    if isinstance(source, Columns) and source.features is None and features:
        return source.model_copy(update={"features": tuple(features)})
    return source


def without_target(source: Source) -> Source:
    """``source`` without a target, whether its column is there or not; unchanged where the features are what it leaves."""
    if not isinstance(source, Columns) or source.target is None or source.features is None:
        return source
    gone = (source.target,) if isinstance(source.target, str) else source.target
    categories = (source.categories,) if isinstance(source.categories, str) else source.categories
    changes: dict[str, Any] = {"target": None, "categories": tuple(name for name in categories if name not in gone)}
    changes["dtypes"] = {name: kind for name, kind in source.dtypes.items() if name != "target"}
    for name in ("scale", "fill"):
        words = getattr(source, name)
        if isinstance(words, dict):
            changes[name] = {column: word for column, word in words.items() if column not in gone} or None
    return source.model_copy(update=changes)


def _tables() -> list[Any]:
    """The sources of tables, one for each format."""
    import gdist.data

    return [getattr(gdist.data, name) for name in _TABLES if name in gdist.data.__all__]
