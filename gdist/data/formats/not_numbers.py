"""A column of a text file that is text for a few words among its numbers: which words, and where the first is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdist.data.formats.text import TextReader
from gdist.errors import DataError

if TYPE_CHECKING:
    from gdist.data.formats.format import Reader

_MOST_ROWS = 1_000_000  # that are looked at
_LONGEST = 40  # characters of a value in the message
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"


def refuse_words(readers: Sequence[Reader], columns: Sequence[str]) -> None:
    """Raises DataError for the first of ``columns``, to be used as numbers, that is text though most of its values are none.
    A column of words is not for this to judge.
    """
    import pyarrow as pa

    for name in columns:
        if any(isinstance(reader, TextReader) and reader.schema.field(name).type == pa.string() for reader in readers):
            _refuse(readers, name)


def _refuse(readers: Sequence[Reader], name: str) -> None:
    import pyarrow.compute as pc

    seen = words = rows = 0
    first: tuple[str, str] | None = None
    for reader in readers:
        if not isinstance(reader, TextReader) or name not in reader.stored.names:
            continue
        for group, known in enumerate(reader.groups):
            if rows >= _MOST_ROWS:
                break
            rows += known.rows
            values, places = reader.texts(group, name)
            is_word = pc.invert(pc.match_substring_regex(values, _NUMBER))
            seen += len(values) - values.null_count
            found: int = pc.sum(is_word).as_py() or 0
            words += found
            if found and first is None:
                at = pc.index(is_word, True).as_py()
                first = values[at].as_py(), reader.place_of_row(group, int(places[at]))
    if first is None or 2 * words >= seen:
        return
    text = repr(first[0] if len(first[0]) <= _LONGEST else f"{first[0][:_LONGEST]}...")
    said = f"values is no number: {text}" if words == 1 else f"values are no numbers, the first {text}"
    raise DataError(
        f"column `{name}` holds text, not numbers: {words:,} of {seen:,} {said}",
        where=first[1],
        help=f"types={{{name!r}: 'float64'}} and on_bad_rows='skip' leave such rows out; or leave the column out; "
        f"categories={name!r} is for columns of words",
    )
