"""How a text file begins: what it is instead, if its first bytes say that it is no text of records in a known encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdist.errors import DataError

if TYPE_CHECKING:
    from gdist.data.storage import StoredFile

BOM = b"\xef\xbb\xbf"
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_BINARY = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"FEA1": "Feather",
    b"\x93NUMPY": "NumPy",
    b"\x89PNG": "PNG",
    b"\xff\xd8": "JPEG",
}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def text_start(head: bytes, file: StoredFile) -> int:
    """Where the text begins: after a byte order mark, if there is one. Raises DataError for packed and binary files."""
    if head.startswith(BOM):
        return len(BOM)
    for mark, name in _PACKED.items():
        if head.startswith(mark):
            raise DataError(
                f"the file is packed with {name}", where=file.shown, help="unpack it: no part of it could be read alone"
            )
    for mark, name in _BINARY.items():
        if head.startswith(mark):
            raise DataError(f"this is a {name} file, not text", where=file.shown, help="is it of another format?")
    if head.startswith(_UTF_16) or b"\x00" in head[:4]:
        mend = f"convert it: iconv -f UTF-16 -t UTF-8 {file.shown} > utf8.txt"
        raise DataError("the file is UTF-16 or UTF-32, not UTF-8", where=file.shown, help=mend)
    return 0
