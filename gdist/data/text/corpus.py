"""A corpus as pieces of bytes: documents from files, or from a text column of tables, read with bounded memory.

A file is a document, a row of a table is one; empty ones are left out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gdist.data.text.pieces import Piece, parts, piece_of
from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from gdist.data.formats.format import Reader
    from gdist.data.storage import StoredFile

_READ_BYTES = 4 << 20

Progress = Callable[[int, int], None]  # (bytes done, of all), as stored


class Corpus:
    """``column``: of the tables that ``files`` then are; None: they are plain text. Raises DataError for a column that is
    missing or no text."""

    def __init__(self, files: Sequence[StoredFile], *, column: str | None = None) -> None:
        self.files = list(files)
        self._column = column
        self._readers = [] if column is None else _open_tables(self.files, column)

    @property
    def stored_bytes(self) -> int:
        return sum(file.size for file in self.files)

    def key(self) -> list[Any]:
        """What the tokens depend on, as far as it is known without reading. JSON."""
        return [self._column, [file.key() for file in self.files]]

    def pieces(self, progress: Progress | None = None) -> Iterator[Piece]:
        """All of the corpus in order. Raises DataError for what cannot be read."""
        read = 0
        for number, file in enumerate(self.files):
            pieces = _of_file(file) if self._column is None else _of_column(self._readers[number], self._column)
            for done, piece in pieces:
                yield piece
                if progress is not None:
                    progress(read + done, self.stored_bytes)
            read += file.size


def table_suffixes() -> tuple[str, ...]:
    return tuple(suffix for suffixes in _suffixes().values() for suffix in suffixes)


def _of_file(file: StoredFile) -> Iterator[tuple[int, Piece]]:
    """(bytes of the file read so far, piece)."""
    import numpy as np

    first, rest = 0, b""
    with file.open() as source:
        while first + len(rest) < file.size:
            read = _read(source, file)
            if not read:
                break
            content = np.frombuffer(rest + read, dtype=np.uint8)
            done = first + len(content)
            ends = np.array([len(content)] if done >= file.size else [], dtype=np.int64)
            cut = 0
            for start, stop in parts(content, ends):
                if stop == len(content) and not len(ends):
                    break  # the next piece goes on from here
                yield done, piece_of(content, ends, start, stop, _in_file(file, first + start))
                cut = stop
            rest = content[cut:].tobytes()
            first += cut
    if first != file.size:
        raise DataError(
            f"the file changed while it was read: it had {file.size} bytes, and now {first + len(rest)}",
            where=file.shown,
            help="wait for its writer, then start again",
        )
    file.open().close()  # that it is still the one that was found


def _read(source: pa.NativeFile, file: StoredFile) -> bytes:
    try:
        return bytes(source.read(_READ_BYTES))
    except OSError as error:
        raise DataError("cannot read a data file", where=file.shown, note=str(error).splitlines()[0]) from error


def _of_column(reader: Reader, column: str) -> Iterator[tuple[int, Piece]]:
    import numpy as np
    import pyarrow as pa

    done = 0
    for number, group in enumerate(reader.groups):
        texts = reader.read(number, [column]).table.column(column).cast(pa.large_string()).cast(pa.large_binary())
        done += group.stored_bytes
        row = group.first_row
        for chunk in filter(len, texts.chunks):
            content, offsets = _buffers(chunk.fill_null(b""))
            long = offsets[1:][np.diff(offsets) > 0]
            for start, stop in parts(content, long):
                place = _in_column(reader, column, offsets, start, row)
                yield done, piece_of(content, long, start, stop, place)
            row += len(chunk)


def _buffers(texts: pa.LargeBinaryArray) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of all rows end to end, and where each begins, and the last ends: int64, shape (rows + 1,)."""
    import numpy as np

    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(data if data is not None else b"", dtype=np.uint8)[starts[0] : starts[-1]]
    return content, starts - starts[0]


def _in_file(file: StoredFile, first: int) -> Callable[[int], str]:
    return lambda offset: f"{file.shown}, byte {first + offset}"


def _in_column(reader: Reader, column: str, offsets: np.ndarray, first: int, row: int) -> Callable[[int], str]:
    import numpy as np

    def place(offset: int) -> str:
        found = int(np.searchsorted(offsets, first + offset, side="right")) - 1
        return f"{reader.file.shown}, row {row + found}, column `{column}`, byte {first + offset - int(offsets[found])}"

    return place


def _open_tables(files: Sequence[StoredFile], column: str) -> list[Reader]:
    from gdist.data.formats.file_set import common_schema, open_readers

    formats = [_format(file) for file in files]
    for file, format in zip(files, formats, strict=True):
        if format != formats[0]:
            raise DataError(
                f"a {format} file, where the first is {formats[0]}", where=file.shown, help="name files of one format"
            )
    readers = open_readers(formats[0], files)
    kind = common_schema(readers, [column]).field(column).type
    if not _is_text(kind):
        texts = [each.name for each in readers[0].schema if _is_text(each.type)]
        listed = ", ".join(f"`{name}`" for name in texts[:8])
        raise DataError(
            f"column `{column}` holds {kind}, not text",
            where=readers[0].file.shown,
            help=f"columns of text: {listed}" if texts else "there is no column of text",
        )
    return readers


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null))


def _format(file: StoredFile) -> str:
    for format, suffixes in _suffixes().items():
        if file.path.lower().endswith(suffixes):
            return format
    raise DataError(
        "`column` is for tables, and this is none by its name",
        where=file.shown,
        help=f"name files that end in one of {', '.join(table_suffixes())}; or leave column= out: a file of text is a document",
    )


def _suffixes() -> dict[str, tuple[str, ...]]:
    from gdist.data.formats.file_set import FORMATS

    return {name: importlib.import_module(f"gdist.data.formats.{name}").SUFFIXES for name in FORMATS}
