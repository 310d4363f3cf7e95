"""Tokens in a file, end to end, then what they are (JSON): written as they come, mapped into memory afterwards.

tokens (uint8, uint16 or uint32, little-endian) | JSON | length of the JSON (8 bytes) | the mark
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    import numpy as np

_MARK = b"GDTOKENS"
_LENGTH_BYTES = 8
_BLOCK_BYTES, _BLOCKS = 1 << 20, 64  # that are looked at before a file is used


class Tokens(NamedTuple):
    """``array``: shape (tokens,), mapped read-only; ``sha256`` is of its bytes."""

    array: np.ndarray
    sha256: str


def write_tokens(path: Path, tokens: Iterable[np.ndarray], *, dtype: np.dtype[Any]) -> None:
    """Writes them one array at a time."""
    import numpy as np

    dtype = dtype.newbyteorder("<")
    digest, count = hashlib.sha256(), 0
    with path.open("w+b") as file:
        for array in tokens:
            content = np.ascontiguousarray(array, dtype=dtype).data
            digest.update(content)
            file.write(content)
            count += len(array)
        facts = {"dtype": dtype.str, "tokens": count, "sha256": digest.hexdigest()}
        facts["sample"] = _sample(file, facts)
        file.seek(0, os.SEEK_END)
        ending = json.dumps(facts).encode()
        file.write(ending + len(ending).to_bytes(_LENGTH_BYTES, "little") + _MARK)


def map_tokens(path: Path) -> Tokens | None:
    """None if the file is not as it was written: its length, what it says of itself, and the tokens that are looked at. Up to
    64 MiB of them these are all: 40 ms."""
    import numpy as np

    with path.open("rb") as file:
        facts = _facts(file)
        if facts is None or facts.pop("sample", None) != _sample(file, facts):
            return None
        if not facts["tokens"]:
            return Tokens(np.empty(0, dtype=facts["dtype"]), facts["sha256"])
        return Tokens(np.memmap(file, dtype=facts["dtype"], mode="r", shape=(facts["tokens"],)), facts["sha256"])


def _facts(file: BinaryIO) -> dict[str, Any] | None:
    """What the file says of its tokens; None if it is not as long as that."""
    import numpy as np

    ending = _LENGTH_BYTES + len(_MARK)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - ending, 0))
    length, mark = int.from_bytes(file.read(_LENGTH_BYTES), "little"), file.read()
    if mark != _MARK or length > size - ending:
        return None
    file.seek(size - ending - length)
    try:
        facts: dict[str, Any] = json.loads(file.read(length))
        needed = facts["tokens"] * np.dtype(facts["dtype"]).itemsize
    except (ValueError, LookupError, TypeError):
        return None
    return facts if size - ending - length == needed else None


def _sample(file: BinaryIO, facts: dict[str, Any]) -> str:
    """A hash of the facts and of 64 blocks of 1 MiB, spread over the tokens from the first to the last; of all, if these are
    fewer."""
    import numpy as np

    size = facts["tokens"] * np.dtype(facts["dtype"]).itemsize
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    blocks = -(-size // _BLOCK_BYTES)
    chosen = range(blocks) if blocks <= _BLOCKS else (i * (blocks - 1) // (_BLOCKS - 1) for i in range(_BLOCKS))
    for block in chosen:
        file.seek(block * _BLOCK_BYTES)
        digest.update(file.read(min(_BLOCK_BYTES, size - block * _BLOCK_BYTES)))
    return digest.hexdigest()
