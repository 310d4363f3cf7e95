"""safetensors as a stream: the header, then each tensor's bytes as they lie in memory, with no second copy of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_PIECE = 16 << 20  # bytes that are hashed and written at a time

_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


def stream(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """The file's bytes in pieces. ``tensors``: dense, on the CPU, of any shape. Raises ValueError for a dtype that the format
    does not have."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    offset = 0
    # Wide types first: each tensor then begins at a multiple of its item.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    for name in order:
        tensor = tensors[name]
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _dtype(name, tensor),
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in order:
        yield from _pieces(tensors[name])


def as_bytes(tensor: Tensor) -> Tensor:
    """The dense ``tensor`` as a flat view of its bytes."""
    import torch

    return tensor.detach().reshape(-1).view(torch.uint8)


def _pieces(tensor: Tensor) -> Iterator[memoryview]:
    if tensor.numel():
        whole: memoryview = as_bytes(tensor).numpy().data
        for start in range(0, len(whole), _PIECE):
            yield whole[start : start + _PIECE]


def _dtype(name: str, tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in _DTYPES:
        raise ValueError(f"tensor {name} is of {kind}, which safetensors does not have")
    return _DTYPES[kind]
