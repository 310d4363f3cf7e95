"""What is in files of data, from one scan of them in bounded memory, or from what their footers say.

Parts of a few columns of a row group are read and summed up by some threads, and merged in the files' order: the same numbers
whoever was first.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from gdist.data.formats.file_set import common_schema
from gdist.data.survey.lines import data_line, remarks, split_line
from gdist.data.survey.suggest import suggest
from gdist.data.survey.summary import MOST_DISTINCT, Summary, family, summarize
from gdist.data.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from gdist.data.formats.format import Reader
    from gdist.data.storage import StoredFile

_PART_BYTES = 32 << 20  # of a row group, as stored, read at once by a thread
_WHOLE_GROUPS = ("csv", "json_lines")  # parsing one column takes reading all
_FEW_VALUES = 20

Progress = Callable[[int, int], None]  # (bytes scanned, of all)


class _Part(NamedTuple):
    reader: Reader
    group: int
    columns: list[str]
    stored_bytes: int


def survey(source: Table, *, scan: bool = True, progress: Progress = lambda done, all: None) -> dict[str, Any]:
    """As JSON: ``format``, ``path``, ``files``, ``rows``, ``row_groups``, ``bytes``, ``columns``, ``bad_rows``, ``data``, the
    line for a job, ``validation``, another one or None, and ``remarks``. ``scan=False``: nothing of the rows is read; only
    Parquet's footers say something of values.

    Raises DataError for what cannot be read. Bad rows are counted; the first is told.
    """
    readers = source.readers(source.find())
    names = list(dict.fromkeys(name for reader in readers for name in reader.schema.names))
    with_rows = [reader for reader in readers if reader.rows] or readers
    schema = common_schema(with_rows, names)
    found = {each.name: Summary(family(each.type)) for each in schema}
    bad: dict[str, Any] = {"count": 0, "first": None}
    if scan:
        _scan(source, with_rows, schema, found, bad, progress)
    else:
        _from_footers(with_rows, found)
    roles = suggest(found) if scan else {}
    paths = source.path if isinstance(source.path, tuple) else (source.path,)
    path = str(paths[0]) if len(paths) == 1 else [str(path) for path in paths]
    given = {name: value for name, value in source.given().items() if name not in ("path", "storage")}
    return {
        "format": source.format,
        "path": path,
        "files": [{"path": r.file.shown, "bytes": r.file.size, "rows": r.rows, "row_groups": len(r.groups)} for r in readers],
        "rows": sum(reader.rows for reader in readers),
        "row_groups": sum(len(reader.groups) for reader in readers),
        "bytes": sum(reader.file.size for reader in readers),
        "columns": [
            {"name": each.name, "type": _type(each.type), **_told(found[each.name], scanned=scan)}
            | ({"suggestion": roles[each.name].role, "why": roles[each.name].why} if scan else {})
            for each in schema
        ],
        "bad_rows": bad,
        "data": data_line(path, source.format, found, roles, **given) if scan else None,
        "validation": split_line(found, roles),
        "remarks": remarks(found, roles) if scan else [],
    }


def corpus(path: str | tuple[str, ...], files: Sequence[StoredFile]) -> dict[str, Any]:
    """The same of files of text, each a document: only how many there are, and how large."""
    shown = path if isinstance(path, str) else list(path)
    return {
        "format": "text",
        "path": shown,
        "files": [{"path": file.shown, "bytes": file.size} for file in files],
        "bytes": sum(file.size for file in files),
        "data": f"data=Text(path={json.dumps(shown, ensure_ascii=False)})",
    }


def _scan(
    source: Table,
    readers: Sequence[Reader],
    schema: pa.Schema,
    found: dict[str, Summary],
    bad: dict[str, Any],
    progress: Progress,
) -> None:
    total = max(1, sum(group.stored_bytes for reader in readers for group in reader.groups))
    threads = min(4, os.cpu_count() or 1)
    done = 0
    waiting: deque[tuple[_Part, Future[tuple[dict[str, Summary], dict[int, str]]]]] = deque()
    parts = _parts(readers, schema.names, whole=source.format in _WHOLE_GROUPS)
    progress(0, total)
    with ThreadPoolExecutor(threads, thread_name_prefix="survey") as pool:
        try:
            while True:
                counted = frozenset(name for name, summary in found.items() if summary.counts is not None)
                for part in itertools.islice(parts, 2 * threads - len(waiting)):
                    waiting.append((part, pool.submit(_summed_up, part, schema, counted)))
                if not waiting:
                    break
                part, future = waiting.popleft()
                summaries, wrong = future.result()
                for name, summary in summaries.items():
                    found[name].merge(summary)
                if wrong:
                    row = min(wrong)
                    bad["count"] += len(wrong)
                    where = f"{part.reader.file.shown}, row {part.reader.groups[part.group].first_row + row}"
                    bad["first"] = bad["first"] or f"{where}: {wrong[row]}"
                done += part.stored_bytes
                progress(done, total)
        finally:
            for _, future in waiting:
                future.cancel()


def _parts(readers: Sequence[Reader], columns: Sequence[str], *, whole: bool) -> Iterator[_Part]:
    for reader in readers:
        for number, group in enumerate(reader.groups):
            count = 1 if whole else min(len(columns), -(-group.stored_bytes // _PART_BYTES)) or 1
            size = -(-len(columns) // count) or 1
            for first in range(0, len(columns), size):
                chosen = list(columns[first : first + size])
                yield _Part(reader, number, chosen, group.stored_bytes * len(chosen) // len(columns))


def _summed_up(part: _Part, schema: pa.Schema, counted: frozenset[str]) -> tuple[dict[str, Summary], dict[int, str]]:
    read = part.reader.read(part.group, part.columns, skip_bad=True)
    found = {}
    for name in part.columns:
        column, kind = read.table.column(name), schema.field(name).type
        found[name] = summarize(column if column.type == kind else column.cast(kind), distinct=name in counted)
    return found, read.bad


def _from_footers(readers: Sequence[Reader], found: dict[str, Summary]) -> None:
    for reader in readers:
        for name, (nulls, least, most) in reader.statistics().items():
            part = Summary(found[name].family, rows=reader.rows, nulls=nulls, least=least, most=most, counts=None)
            found[name].merge(part)


def _type(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind):
        return f"{_type(kind.value_type)}[{kind.list_size}]"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_dictionary(kind):
        return f"{_type(kind.value_type)} codes"
    return {"double": "float64", "float": "float32", "halffloat": "float16", "date32[day]": "date"}.get(str(kind), str(kind))


def _told(column: Summary, *, scanned: bool) -> dict[str, Any]:
    """Numbers that are not known are None; ``distinct_least``: there are more than ``distinct``."""
    counts = column.counts
    countable = scanned and column.family in ("number", "text", "time")
    few = counts is not None and len(counts) <= _FEW_VALUES
    return {
        "nulls": column.nulls if scanned or column.rows else None,
        "nan": column.nans,
        "infinite": column.infinite,
        "min": _plain(column.least),
        "max": _plain(column.most),
        "mean": column.mean if column.count else None,
        "std": column.std,
        "distinct": None if not countable else MOST_DISTINCT if counts is None else len(counts),
        "distinct_least": countable and counts is None,
        "values": [[_plain(value), many] for value, many in counts.most_common()] if counts is not None and few else None,
        "examples": [_plain(value) for value in column.examples],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex(" ")
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
