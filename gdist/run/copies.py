"""The copy of a worker's share of the state, for which alone a step waits: into memory that is used again and again."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from gdist.run.shares import Share

_ALIGN = 64  # bytes
_KEPT = 2  # buffers: one is being written, one waits


@dataclass
class Copy:
    """``tensors``: by file and name, views of ``buffer``, good once ``wait`` has returned (a GPU copies by itself)."""

    tensors: dict[str, dict[str, Tensor]]
    buffer: Tensor
    done: Any = None  # a CUDA event

    def wait(self) -> None:
        if self.done is not None:
            self.done.synchronize()


@dataclass
class Buffers:
    """Memory that copies have given back. Fresh memory costs several times as much to fill as that which was filled before."""

    _free: list[Tensor] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, size: int, *, pinned: bool) -> Tensor:
        """At least ``size`` bytes."""
        import torch

        with self._lock:
            for i, buffer in enumerate(self._free):
                if buffer.numel() >= size and buffer.is_pinned() == pinned:
                    return self._free.pop(i)
        return torch.empty(size, dtype=torch.uint8, pin_memory=pinned)

    def give(self, buffer: Tensor) -> None:
        with self._lock:
            self._free.append(buffer)
            del self._free[:-_KEPT]

    def prepare(self, size: int, *, pinned: bool) -> None:
        """Has a buffer of that size filled once, so that the first copy is as fast as the later ones."""
        buffer = self.take(size, pinned=pinned)
        buffer.zero_()
        self.give(buffer)


def copy_share(pieces: Share, buffers: Buffers | None = None) -> Copy:
    """Dense CPU copies of the pieces. On a GPU the copy goes on beside what follows, which cannot overtake it."""
    import torch

    views = {file: {name: piece.view.detach() for name, piece in named.items()} for file, named in pieces.items()}
    devices = {view.device for named in views.values() for view in named.values() if view.is_cuda}
    buffer = (buffers or Buffers()).take(bytes_of(pieces), pinned=bool(devices))
    copy, offset = Copy({file: {} for file in views}, buffer), 0
    with torch.no_grad(), _Beside(devices) as beside:
        for file, named in views.items():
            for name, view in named.items():
                size = view.numel() * view.element_size()
                target = buffer[offset : offset + size].view(view.dtype).view(view.shape)
                target.copy_(view, non_blocking=view.is_cuda)
                copy.tensors[file][name] = target
                offset += _aligned(size)
    copy.done = beside.done
    return copy


def bytes_of(pieces: Share) -> int:
    """What a copy of the pieces takes."""
    views = (piece.view for named in pieces.values() for piece in named.values())
    return sum(_aligned(math.prod(view.shape) * view.element_size()) for view in views)


class _Beside:
    """A CUDA stream of its own for what is copied within; ``done`` is its end. Nothing, without a GPU."""

    def __init__(self, devices: set[Any]) -> None:
        self._device = next(iter(devices), None)
        self.done: Any = None

    def __enter__(self) -> _Beside:
        import torch

        if self._device is not None:
            self._stream: Any = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            self._context: Any = torch.cuda.stream(self._stream)
            self._context.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:
        import torch

        if self._device is not None:
            self.done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self.done.record(self._stream)
            self._context.__exit__(*raised)
            torch.cuda.current_stream(self._device).wait_event(self.done)  # what changes the state next comes after


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
