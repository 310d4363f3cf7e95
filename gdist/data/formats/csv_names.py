"""The columns' names of a CSV file: its first record, or what the user says."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gdist.data.formats.format import refuse_twins
from gdist.data.formats.options import CsvOptions
from gdist.data.formats.records import find_records
from gdist.data.formats.text_marks import text_start
from gdist.errors import DataError

if TYPE_CHECKING:
    from gdist.data.storage import StoredFile

_FIRST_BYTES = 1 << 16
_LONGEST_BYTES = 1 << 24
_OTHER_DELIMITERS = ("\t", ";", "|", ",")


def read_names(file: StoredFile, options: CsvOptions) -> tuple[list[str], int, int]:
    """(the columns' names, the byte where the rows begin, that byte's line). An empty file has no names.

    Raises DataError for what is no text, and for a line of names that cannot be read.
    """
    with file.open() as source:
        head = source.read_at(_FIRST_BYTES, 0)
        start = text_start(head, file)
        if options.names is not None:
            return list(options.names), start, 1
        record, end, lines = _first_record(head, start, options, is_last=len(head) >= file.size)
        while not end and len(head) < file.size:
            if len(head) >= _LONGEST_BYTES:
                raise DataError("the line of names never ends", where=file.shown, help="is it CSV? is a quote never closed?")
            head = source.read_at(16 * len(head), 0)
            record, end, lines = _first_record(head, start, options, is_last=len(head) >= file.size)
    if not end:
        return [], file.size, 1
    where = f"{file.shown}, line {lines}"
    try:
        text = record.decode(options.encoding)
    except UnicodeDecodeError as error:
        what = f"byte 0x{record[error.start]:02x} in the line of names is not {options.encoding}"
        raise DataError(what, where=where, help='name the encoding, as in encoding="latin-1"') from error
    try:
        found = next(_rows(text, options))
    except csv.Error as error:
        raise DataError("the line of names cannot be read", where=where, note=str(error)) from error
    names = [name or f"column_{number}" for number, name in enumerate(found)]
    refuse_twins(names, where=where)
    _refuse_other_delimiter(names, options, where=where)
    return names, end, 1 + lines


def _first_record(head: bytes, start: int, options: CsvOptions, *, is_last: bool) -> tuple[bytes, int, int]:
    """(the first record that is not blank, the byte after it, lines up to there); the byte is 0 if there is no whole record."""
    dialect = options.dialect()
    text = head[start:]
    found = find_records(text, dialect, is_last=is_last)
    if not len(found.ends):
        return b"", 0, 0
    first, last = int(found.starts[0]), int(found.ends[0])
    return text[first:last], start + last, find_records(text[:last], dialect).lines


def _rows(text: str, options: CsvOptions) -> Iterator[list[str]]:
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=options.delimiter,
        quotechar=options.quote,
        escapechar=options.escape,
        quoting=csv.QUOTE_NONE if options.quote is None else csv.QUOTE_MINIMAL,
    )


def _refuse_other_delimiter(names: list[str], options: CsvOptions, *, where: str) -> None:
    if len(names) > 1:
        return
    other = next((mark for mark in _OTHER_DELIMITERS if mark != options.delimiter and mark in names[0]), None)
    if other is not None:
        shown = "\\t" if other == "\t" else other
        what = f"one column only, named `{names[0]}`"
        raise DataError(what, where=where, help=f'is the delimiter another one? delimiter="{shown}"')
