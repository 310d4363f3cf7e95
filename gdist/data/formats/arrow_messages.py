"""Where the record batches of an Arrow file or stream lie, and how many rows each has, which pyarrow does not say unread.

A message is its header, a flatbuffer, then its body, the columns. Layouts: https://arrow.apache.org/docs/format/Columnar.html
and format/Message.fbs, format/File.fbs of Arrow. Wrong bytes raise struct.error or ValueError, whatever they are.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

_ENDING_BYTES = 10  # of a file: the footer's length (4 bytes), then ARROW1
_CONTINUATION = 0xFFFFFFFF
_RECORD_BATCH = 3  # of the union MessageHeader
_LONGEST_HEADER_BYTES = 1 << 28
_FOOTER_RECORD_BATCHES = 3  # numbers of the fields in their tables
_MESSAGE_KIND, _MESSAGE_HEADER, _MESSAGE_BODY_BYTES = 1, 2, 3
_BATCH_ROWS, _BATCH_COMPRESSION = 0, 3


class Message(NamedTuple):
    """A record batch; ``offset`` is its header's in the file."""

    offset: int
    rows: int
    body_bytes: int
    is_compressed: bool = False


def in_file(source: pa.NativeFile, size: int) -> list[Message]:
    """The record batches that the footer names."""
    footer_bytes = struct.unpack("<i6s", source.read_at(_ENDING_BYTES, size - _ENDING_BYTES))[0]
    if not 0 < footer_bytes <= size - _ENDING_BYTES:
        raise ValueError("its footer's length is wrong")
    footer = source.read_at(footer_bytes, size - _ENDING_BYTES - footer_bytes)
    vector = _field(footer, _root(footer), _FOOTER_RECORD_BATCHES)
    if vector is None:
        return []
    vector += _number("<I", footer, vector)
    blocks = [_number("<q", footer, vector + 4 + 24 * i) for i in range(_count(footer, vector))]
    return [_record_batch(source, offset, size) for offset in blocks]


def in_stream(source: pa.NativeFile, size: int) -> list[Message]:
    """The record batches found by going from header to header."""
    found, offset = [], 0
    while offset < size:
        message, kind, offset = _message(source, offset, size)
        if kind is None:
            break
        if kind == _RECORD_BATCH:
            found.append(message)
    return found


def _record_batch(source: pa.NativeFile, offset: int, size: int) -> Message:
    message, kind, _ = _message(source, offset, size)
    if kind != _RECORD_BATCH:
        raise ValueError("its footer names a record batch where there is none")
    return message


def _message(source: pa.NativeFile, offset: int, size: int) -> tuple[Message, int | None, int]:
    """(the message, its kind or None at the end's mark, where the next one begins)."""
    if not 0 <= offset <= size - 8:
        raise ValueError("a message lies outside the file")
    mark, header_bytes = struct.unpack("<II", source.read_at(8, offset))
    if mark != _CONTINUATION:
        raise ValueError("a message does not begin with its mark")
    if not header_bytes:
        return Message(offset, 0, 0), None, size
    if header_bytes > min(_LONGEST_HEADER_BYTES, size):
        raise ValueError("a message's header is longer than the file")
    header = source.read_at(header_bytes, offset + 8)
    root = _root(header)
    kind, body = _field(header, root, _MESSAGE_KIND), _field(header, root, _MESSAGE_BODY_BYTES)
    body_bytes = 0 if body is None else _number("<q", header, body)
    end = offset + 8 + header_bytes + body_bytes
    if body_bytes < 0 or end > size:
        raise ValueError("a message ends after the file's end: the file is truncated")
    kind = 0 if kind is None else _number("<B", header, kind)
    rows, is_compressed = 0, False
    if kind == _RECORD_BATCH:
        batch = _field(header, root, _MESSAGE_HEADER)
        if batch is None:
            raise ValueError("a record batch without a header")
        batch += _number("<I", header, batch)
        is_compressed = _field(header, batch, _BATCH_COMPRESSION) is not None
        length = _field(header, batch, _BATCH_ROWS)
        rows = 0 if length is None else _number("<q", header, length)
        if rows < 0:
            raise ValueError("a record batch of less than no rows")
    return Message(offset, rows, body_bytes, is_compressed), kind, end


def _root(buffer: bytes) -> int:
    return _number("<I", buffer, 0)


def _field(buffer: bytes, table: int, number: int) -> int | None:
    """Where a flatbuffer table's field stands in the buffer; None if it is not there."""
    vtable = table - _number("<i", buffer, table)
    if 4 + 2 * number >= _number("<H", buffer, vtable):
        return None
    offset = _number("<H", buffer, vtable + 4 + 2 * number)
    return table + offset if offset else None


def _count(buffer: bytes, vector: int) -> int:
    count = _number("<I", buffer, vector)
    if 24 * count > len(buffer):
        raise ValueError("its footer names more record batches than it has room for")
    return count


def _number(layout: str, buffer: bytes, at: int) -> int:
    if at < 0:
        raise ValueError("an offset points before its start")
    return int(struct.unpack_from(layout, buffer, at)[0])
