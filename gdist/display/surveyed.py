"""What ``gdist data`` has found, as lines (pure)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from gdist.display import words

_WIDTH = 80
_NAME, _TYPE, _NULLS, _DISTINCT = 20, 14, 12, 14  # columns of text
_INDENT = " " * 4
_SHOWN = 5  # values of a category
_LONGEST_VALUE = 24
_FILES = 3
_UNBROKEN = "\N{NO-BREAK SPACE}"


def report(found: dict[str, Any], *, every: bool = False) -> list[str]:
    """``every``: a line for each column, also where columns are numbered and alike, such as x_0 to x_63."""
    lines = [*_head(found), ""]
    if "columns" in found:
        head = f"{'column':<{_NAME}}{'type':<{_TYPE}}{'missing':<{_NULLS}}{'distinct':<{_DISTINCT}}"
        lines.append((head + ("suggestion" if found["data"] else "")).rstrip())
        for alike in _together(found["columns"], every=every):
            lines += _column(alike, found["rows"], known=found["data"] is not None)
        lines.append("")
    return [*lines, *_end(found)]


def _head(found: dict[str, Any]) -> Iterator[str]:
    files = found["files"]
    said = f"{words.plural(len(files), 'file')} of {found['format'].replace('_', ' ')}"
    if "rows" in found:
        said += f", {words.plural(found['rows'], 'row')} in {words.plural(found['row_groups'], 'row group')}"
    path = found["path"] if isinstance(found["path"], str) else f"{found['path'][0]} ..."
    yield from textwrap.wrap(f"{path}: {said}, {words.size(found['bytes'])}", _WIDTH, subsequent_indent=_INDENT)
    if len(files) > 1:
        yield from (f"{_INDENT}{each['path']}" for each in files[:_FILES])
        if len(files) > _FILES:
            yield f"{_INDENT}and {words.plural(len(files) - _FILES, 'more file')}"


def _end(found: dict[str, Any]) -> Iterator[str]:
    bad = found.get("bad_rows", {"count": 0})
    if bad["count"]:
        yield from textwrap.wrap(f"warning: {words.plural(bad['count'], 'bad row')}; the first is {bad['first']}", _WIDTH)
        yield 'help: on_bad_rows="skip" leaves such rows out'
        yield ""
    if found["data"] is None:
        yield "the files say no more of themselves; without --quick the rows are scanned"
        return
    yield "for a job:"
    kept = re.sub(r"\{[^}]*\}", lambda part: part.group().replace(" ", _UNBROKEN), found["data"])
    if found.get("validation"):
        kept += ","
    yield from _wrapped(kept, indent=_INDENT, then=2 * _INDENT)
    if found.get("validation"):
        yield from _wrapped(found["validation"], indent=_INDENT, then=2 * _INDENT)
    for remark in found.get("remarks", []):
        yield from textwrap.wrap(f"note: {remark}", _WIDTH, subsequent_indent=" " * 6)


def _column(alike: list[dict[str, Any]], rows: int, *, known: bool) -> list[str]:
    first = alike[0]
    name = first["name"] if len(alike) == 1 else f"{first['name']} .. {alike[-1]['name']}"
    nulls = sum((each["nulls"] or 0) + each["nan"] for each in alike)
    missing = "?" if first["nulls"] is None else _share(nulls, rows * len(alike))
    distinct = _distinct(first) if len(alike) == 1 else ""
    line = (
        f"{_cut(name, _NAME - 2):<{_NAME}}{_cut(first['type'], _TYPE - 2):<{_TYPE}}{missing:<{_NULLS}}{distinct:<{_DISTINCT}}"
    )
    if known:
        line += first["suggestion"]
        if nulls and first["suggestion"] not in ("leave out", "target", "split"):
            line += ", fill"
    return [line.rstrip(), *_values(alike, known=known)]


def _values(alike: list[dict[str, Any]], *, known: bool) -> list[str]:
    first = alike[0]
    said = [first["why"]] if known and first["why"] else []
    if len(alike) > 1:
        said.append(f"{len(alike)} columns")
    if first["min"] is not None and first["distinct"] != 1:
        said.append(f"{_value(min(each['min'] for each in alike))} to {_value(max(each['max'] for each in alike))}")
    if len(alike) == 1:
        said += _of_one(first)
    text = "; ".join(part.replace(" ", _UNBROKEN) if len(part) < _WIDTH // 2 else part for part in said)
    return list(_wrapped(text, indent=_INDENT, then=_INDENT)) if text else []


def _of_one(column: dict[str, Any]) -> Iterator[str]:
    if column["mean"] is not None and column["distinct"] != 1:
        yield f"mean {_value(column['mean'])}, deviation {_value(column['std'])}"
    if column["infinite"]:
        yield f"{words.count(column['infinite'])} infinite"
    values, examples = column["values"], column["examples"]
    if values and len(values) > 1 and _is_category(column):
        total = sum(count for _, count in values)
        shares = [f"{_value(value)} {_percent(count, total)}" for value, count in values[:_SHOWN]]
        yield ", ".join([share.replace(" ", _UNBROKEN) for share in shares] + (["..."] if len(values) > _SHOWN else []))
    elif examples and not column["type"].startswith(("binary", "large_binary", "struct", "date", "time")):
        shown = [_value(value).replace(" ", _UNBROKEN) for value in examples]
        yield f"such as {', '.join(shown[:1] if max(map(len, shown)) >= _LONGEST_VALUE else shown)}"


def _is_category(column: dict[str, Any]) -> bool:
    return bool(column.get("suggestion") in ("target", "categorical", "class", "split") or len(column["values"]) == 2)


def _together(columns: list[dict[str, Any]], *, every: bool) -> list[list[dict[str, Any]]]:
    """Neighbours whose names differ in a number only, with one type and one suggestion."""
    found: list[list[dict[str, Any]]] = []
    for column in columns:
        alike = found and not every and _kind(found[-1][0]) == _kind(column) and re.search(r"\d", column["name"])
        if alike:
            found[-1].append(column)
        else:
            found.append([column])
    return [part for each in found for part in ([each] if len(each) > 2 else [[one] for one in each])]


def _kind(column: dict[str, Any]) -> tuple[Any, ...]:
    stem = re.sub(r"\d+", "#", column["name"])
    return stem, column["type"], column.get("suggestion"), column.get("why"), column["min"] is None


def _distinct(column: dict[str, Any]) -> str:
    if column["distinct"] is None:
        return ""
    return f"> {words.count(column['distinct'])}" if column["distinct_least"] else words.count(column["distinct"])


def _share(part: int, of: int) -> str:
    return "-" if not part else _percent(part, of)


def _percent(part: int, of: int) -> str:
    share = 100 * part / of if of else 0
    return f"{share:.0f} %" if share >= 1 else "< 1 %"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    return _cut(" ".join(str(value).split()), _LONGEST_VALUE)


def _wrapped(text: str, *, indent: str, then: str) -> Iterator[str]:
    """Lines that break at no space that was marked as unbroken."""
    for line in textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    ):
        yield line.replace(_UNBROKEN, " ")


def _cut(text: str, most: int) -> str:
    """What would move the cursor or colour the terminal is spelt out: names and values are whatever a file holds."""
    text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[: most + 1])
    return text if len(text) <= most else f"{text[: most - 1]}…"
