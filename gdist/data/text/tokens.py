"""Tokens in a file, end to end, then what they are (JSON): written as they come, mapped into memory afterwards.

tokens (uint8, uint16 or uint32, little-endian) | JSON | length of the JSON (8 bytes) | the mark
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gdist.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_MARK = b"GDTOKENS"
_LENGTH_BYTES = 8


class Tokens(NamedTuple):
    """``array``: shape (tokens,), mapped read-only; ``sha256`` is of its bytes."""

    array: np.ndarray
    sha256: str


def write_tokens(path: Path, tokens: Iterable[np.ndarray], *, dtype: np.dtype[Any]) -> None:
    """Writes them one array at a time."""
    import numpy as np

    dtype = dtype.newbyteorder("<")
    digest, count = hashlib.sha256(), 0
    with path.open("wb") as file:
        for array in tokens:
            content = np.ascontiguousarray(array, dtype=dtype).data
            digest.update(content)
            file.write(content)
            count += len(array)
        facts = json.dumps({"dtype": dtype.str, "tokens": count, "sha256": digest.hexdigest()}).encode()
        file.write(facts + len(facts).to_bytes(_LENGTH_BYTES, "little") + _MARK)


def map_tokens(path: Path) -> Tokens:
    """Raises DataError for a file that somebody cut or changed in its length."""
    import numpy as np

    ending = _LENGTH_BYTES + len(_MARK)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - ending, 0))
        length, mark = int.from_bytes(file.read(_LENGTH_BYTES), "little"), file.read()
        facts = {}
        if mark == _MARK and length <= size - ending:
            file.seek(size - ending - length)
            facts = json.loads(file.read(length))
        dtype = np.dtype(facts.get("dtype", "u1"))
        if size - ending - length != facts.get("tokens", -1) * dtype.itemsize:
            raise DataError("a file of the cache is damaged", where=str(path), help="remove it: it will be made again")
        if not facts["tokens"]:
            return Tokens(np.empty(0, dtype=dtype), facts["sha256"])
        return Tokens(np.memmap(file, dtype=dtype, mode="r", shape=(facts["tokens"],)), facts["sha256"])
