"""A state's tensors as few large messages between workers: small ones are gathered, a large one travels as it lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gdist.engine.collective import Collective
from gdist.fault_points import fault_point

MESSAGE_BYTES = 32 << 20  # into which small tensors are gathered
_ALONE_BYTES = 4 << 20  # a tensor from this size on travels as it lies
_ALIGN = 64

Files = dict[str, dict[str, Tensor]]


def specs_of(files: Files) -> list[list[Any]]:
    """[file, name, dtype, shape, whether it lies in host memory] in a fixed order."""
    return [
        [file, name, str(t.dtype).removeprefix("torch."), list(t.shape), t.device.type == "cpu"]
        for file, tensors in sorted(files.items())
        for name, t in sorted(tensors.items())
    ]


def move(
    collective: Collective,
    files: Files,
    specs: list[list[Any]],
    *,
    to: Sequence[int],
    of: int | None,
    device: torch.device | None,
) -> Files:
    """Sends the tensors to workers ``to``, receives them from ``of``, or only keeps count of the messages."""
    received: Files = {}
    for group, places, total in _messages(specs):
        fault_point("handover_message")
        out = _packed([files[file][name] for file, name, *_ in group], places, total, device) if to else None
        into = torch.empty(total, dtype=torch.uint8, device=device) if of is not None else None
        collective.exchange(
            [out if r in to else None for r in range(collective.size)],
            [into if r == of else None for r in range(collective.size)],
        ).wait()
        if into is not None:
            for (file, name, dtype, shape, on_host), place in zip(group, places, strict=True):
                kind = getattr(torch, dtype)
                count = int(torch.Size(shape).numel()) * kind.itemsize
                tensor = into[place : place + count].view(kind).view(shape)
                received.setdefault(file, {})[name] = tensor.cpu() if on_host else tensor
    return received


def _messages(specs: list[list[Any]]) -> Iterator[tuple[list[list[Any]], list[int], int]]:
    """Cuts the tensors into messages: (tensors, first byte of each, bytes in all)."""
    group: list[list[Any]] = []
    places: list[int] = []
    total = 0
    for spec in specs:
        count = int(torch.Size(spec[3]).numel()) * getattr(torch, spec[2]).itemsize
        if count >= _ALONE_BYTES:
            yield [spec], [0], count
            continue
        if group and total + count > MESSAGE_BYTES:
            yield group, places, total
            group, places, total = [], [], 0
        group.append(spec)
        places.append(total)
        total += -(-count // _ALIGN) * _ALIGN
    if group:
        yield group, places, total or _ALIGN


def _packed(tensors: Sequence[Tensor], places: Sequence[int], total: int, device: torch.device | None) -> Tensor:
    """The tensors' bytes as one message; a large one as it lies."""
    flat = [tensor.detach().to(device).contiguous().view(-1).view(torch.uint8) for tensor in tensors]
    if len(flat) == 1 and flat[0].numel() == total:
        return flat[0]
    packed = torch.empty(total, dtype=torch.uint8, device=device)
    for part, place in zip(flat, places, strict=True):
        packed[place : place + part.numel()] = part
    return packed
