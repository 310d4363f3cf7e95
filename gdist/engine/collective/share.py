"""Bytes of any length from every worker to every worker: what has no fixed shape (vocabularies, errors)."""

from __future__ import annotations

import torch

from gdist.engine.collective.collective import Collective


def share_bytes(collective: Collective, content: bytes, *, device: torch.device | None = None) -> list[bytes]:
    """What each worker gave, in the order of the workers; the same list on all. ``device``: of the collective's tensors."""
    rank, size = collective.rank, collective.size
    if size == 1:
        return [content]
    own = torch.tensor([len(content)], device=device)
    lengths = [torch.zeros_like(own) for _ in range(size)]
    collective.exchange([own] * size, [None if r == rank else length for r, length in enumerate(lengths)]).wait()
    sizes = [int(length) for length in lengths]
    mine = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(device) if content else None
    incoming = [
        torch.empty(sizes[r], dtype=torch.uint8, device=device) if r != rank and sizes[r] else None for r in range(size)
    ]
    collective.exchange([None if r == rank else mine for r in range(size)], incoming).wait()
    found = [b"" if part is None else part.cpu().numpy().tobytes() for part in incoming]
    found[rank] = content
    return found
