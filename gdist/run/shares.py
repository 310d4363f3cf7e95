"""The state of a run cut into even parts by bytes, one for each worker that writes, and put together again (pure).

Every worker has the same state, so each cuts alike and takes its own part without a word to the others. A tensor that lies
across a cut is split along its rows if it is large, else it goes whole to where it begins. A part's file says which rows it
has (``gdist.rows`` in its metadata), so that any number of workers can read what any other number has written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdist.errors import CheckpointError
from gdist.run.tensors import ALIASES, without_aliases

if TYPE_CHECKING:
    from torch import Tensor

ROWS = "gdist.rows"
_SPLIT_FROM = 1 << 20  # bytes; a smaller tensor is never split
_ALONE_BELOW = 4 << 20  # bytes of state that are not worth the files of several workers


@dataclass(frozen=True)
class Piece:
    """Rows [start, stop) of a tensor of ``rows``; a whole one has ``rows`` None."""

    tensor: Tensor
    start: int = 0
    stop: int = 0
    rows: int | None = None

    @property
    def view(self) -> Tensor:
        return self.tensor if self.rows is None else self.tensor[self.start : self.stop]


Share = dict[str, dict[str, Piece]]  # file without suffix -> tensor's name -> what of it


def size_of(files: Mapping[str, Mapping[str, Tensor]]) -> int:
    """Bytes, names that share memory counted once in each file."""
    return sum(_bytes(t) for tensors in files.values() for t in without_aliases(tensors)[0].values())


def parts_for(files: Mapping[str, Mapping[str, Tensor]], workers: int) -> int:
    """Into how many parts ``workers`` cut a state: one if it is small."""
    return workers if size_of(files) >= _ALONE_BELOW else 1


def share(files: Mapping[str, Mapping[str, Tensor]], part: int, parts: int) -> tuple[Share, dict[str, dict[str, str]]]:
    """(what part ``part`` of ``parts`` has, each file's metadata)."""
    total, begun = size_of(files), 0
    low, high = total * part // parts, total * (part + 1) // parts
    found: Share = {}
    words: dict[str, dict[str, str]] = {}
    for file, tensors in files.items():
        stored, aliases = without_aliases(tensors)
        mine: dict[str, Piece] = {}
        for name, tensor in stored.items():
            piece = _cut(tensor, begun, low, high, last=part == parts - 1)
            begun += _bytes(tensor)
            if piece is not None:
                mine[name] = piece
        rows = {name: [p.start, p.stop, p.rows] for name, p in mine.items() if p.rows is not None}
        if mine or (part == 0 and aliases):
            found[file] = mine
            words[file] = {**({ROWS: json.dumps(rows)} if rows else {}), **({ALIASES: json.dumps(aliases)} if aliases else {})}
    return found, words


def join(read: Iterable[tuple[dict[str, Tensor], dict[str, str]]], *, where: str) -> dict[str, Tensor]:
    """One file's tensors from its parts (tensors, metadata). Raises CheckpointError where rows of one are missing."""
    import torch

    whole: dict[str, Tensor] = {}
    pieces: dict[str, list[tuple[int, int, int, Tensor]]] = {}
    aliases: dict[str, str] = {}
    for tensors, words in read:
        rows = json.loads(words.get(ROWS, "{}"))
        aliases |= json.loads(words.get(ALIASES, "{}"))
        for name, tensor in tensors.items():
            if name in rows:
                pieces.setdefault(name, []).append((*rows[name], tensor))
            else:
                whole[name] = tensor
    for name, cut in pieces.items():
        cut.sort(key=lambda piece: piece[0])
        ends = [0, *(stop for _, stop, _, _ in cut)]
        if [start for start, *_ in cut] != ends[:-1] or ends[-1] != cut[0][2]:
            raise CheckpointError(f"rows of the tensor {name} are in no part of the checkpoint", where=where)
        whole[name] = torch.cat([tensor for *_, tensor in cut])
    for alias, name in aliases.items():
        whole[alias] = whole[name]
    return whole


def _cut(tensor: Tensor, begun: int, low: int, high: int, *, last: bool) -> Piece | None:
    """What of ``tensor``, whose bytes begin at ``begun`` of the whole state, lies in [low, high)."""
    size = _bytes(tensor)
    if size < _SPLIT_FROM or tensor.dim() == 0 or tensor.shape[0] < 2:
        return Piece(tensor) if low <= begun < high or (last and begun >= high) else None
    rows = tensor.shape[0]
    start, stop = (min(rows, max(0, round((edge - begun) * rows / size))) for edge in (low, high))
    if start == 0 and stop == rows:
        return Piece(tensor)
    return Piece(tensor, start, stop, rows) if start < stop else None


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
