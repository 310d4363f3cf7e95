"""A source's description for other rows: at another path, or without the target that they lack."""

from __future__ import annotations

import fnmatch
from typing import Any

from gdist.data.columns import Choice
from gdist.data.source import Source
from gdist.data.table import Table
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


def without_target(source: Source) -> Source:
    """``source`` with the same features and no target, whether its column is there or not."""
    if not isinstance(source, Table) or source.target is None:
        return source
    features: Any = source.features
    if features is None:
        reader = source.readers(source.find()[:1])[0]
        there = reader.schema.names
        taken = {column for choice in (source.target, *source.extra.values()) for column in _chosen(choice, there)}
        features = tuple(name for name in there if name not in taken)
    dtypes = {name: kind for name, kind in source.dtypes.items() if name != "target"}
    return source.model_copy(update={"features": features, "target": None, "dtypes": dtypes})


def _chosen(choice: Choice, columns: list[str]) -> list[str]:
    """Those of ``columns`` that are meant; none for a name that is not there."""
    names = (choice,) if isinstance(choice, str) else choice
    return [column for column in columns if any(column == name or fnmatch.fnmatchcase(column, name) for name in names)]


def _tables() -> list[Any]:
    """The sources of tables, one for each format."""
    import gdist.data

    return [getattr(gdist.data, name) for name in _TABLES if name in gdist.data.__all__]
