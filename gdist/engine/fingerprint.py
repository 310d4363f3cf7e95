"""64 bits of a replica's weights, cheap enough to compare every few steps: one read of the weights.

    h = sum_j m_j * (sum_i bits[i, j])  mod 2**64,  over rows of 4,096 words, m_j odd and fixed

Not a cryptographic hash: it finds a changed bit and names the replica. ``weights_sha256`` of a finished run is the other.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from gdist.engine.streams import mix

_COLUMNS = 4096
_multipliers: dict[torch.device, Tensor] = {}


@torch.no_grad()
def fingerprint(tensors: Iterable[Tensor]) -> int:
    """Of the tensors' bits, in order. Any dtype; contiguous."""
    total = 0
    for i, tensor in enumerate(tensors):
        if not tensor.numel():
            continue
        words = _as_words(tensor.detach().contiguous().view(-1))
        whole = words.numel() // _COLUMNS * _COLUMNS
        multipliers = _multipliers_on(words.device)
        sums = words[:whole].view(-1, _COLUMNS).sum(0, dtype=torch.int64)
        rest = words[whole:].to(torch.int64)
        value = int((sums * multipliers).sum()) + int((rest * multipliers[: rest.numel()]).sum()) * 3
        total = (total + (2 * i + 1) * value) & ((1 << 64) - 1)
    return total


def _as_words(flat: Tensor) -> Tensor:
    size = flat.element_size()
    if size % 4 == 0:
        return flat.view(torch.int32)
    return flat.view(torch.int16) if size == 2 else flat.view(torch.uint8)


def _multipliers_on(device: torch.device) -> Tensor:
    if device not in _multipliers:
        _multipliers[device] = torch.tensor([mix(j) | 1 for j in range(_COLUMNS)], dtype=torch.int64, device=device)
    return _multipliers[device]
