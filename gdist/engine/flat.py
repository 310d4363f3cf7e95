"""Tensors laid end to end in one piece of memory, at places that depend on the model alone.

A few large messages instead of many small ones, and no copy to make them. Every tensor starts at a multiple of 64 elements,
so that vectorized kernels treat each element alike however the whole is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gdist.errors import JobError

ALIGN_ELEMENTS = 64


def aligned(elements: int) -> int:
    return -(-elements // ALIGN_ELEMENTS) * ALIGN_ELEMENTS


@dataclass(frozen=True)
class Layout:
    """Where each of some tensors lies in a flat one of ``elements`` elements: ``offsets[i]``, with ``shapes[i]``."""

    shapes: tuple[torch.Size, ...]
    offsets: tuple[int, ...]
    elements: int

    @staticmethod
    def of(tensors: Iterable[Tensor]) -> Layout:
        shapes, offsets, end = [], [], 0
        for tensor in tensors:
            shapes.append(tensor.shape)
            offsets.append(end)
            end += aligned(tensor.numel())
        return Layout(tuple(shapes), tuple(offsets), end)

    def views(self, flat: Tensor) -> list[Tensor]:
        """The tensors as views of ``flat``."""
        return [flat[o : o + s.numel()].view(s) for s, o in zip(self.shapes, self.offsets, strict=True)]


class FlatParameters:
    """Parameters as views of one flat tensor, in backward order (the last layer first), which the reduction follows.

    ``parameters``: (name, parameter) pairs that are trained, all of one dtype and device. Their storage is re-pointed once.
    """

    def __init__(self, parameters: Sequence[tuple[str, nn.Parameter]]) -> None:
        ordered = list(reversed(list(parameters)))
        self.names = [name for name, _ in ordered]
        self.parameters = [p for _, p in ordered]
        kinds = {(p.dtype, p.device) for p in self.parameters}
        if len(kinds) > 1:
            first = next(n for n, p in ordered if (p.dtype, p.device) != (ordered[0][1].dtype, ordered[0][1].device))
            raise JobError(
                f"parameters of several dtypes or devices: {', '.join(sorted(f'{d} on {v}' for d, v in kinds))}",
                where=f"parameter {first}",
                help="let the model keep its parameters in one dtype (precision= sets the dtype of the computation)",
            )
        self.layout = Layout.of(self.parameters)
        like = self.parameters[0]
        self.data = torch.zeros(self.layout.elements, dtype=like.dtype, device=like.device)
        with torch.no_grad():
            for parameter, view in zip(self.parameters, self.layout.views(self.data), strict=True):
                view.copy_(parameter)
                parameter.data = view
        self._addresses = [p.data_ptr() for p in self.parameters]

    def check(self) -> None:
        """Raises JobError where a module has moved a parameter out of the flat tensor (``module.to()``, assigned ``.data``)."""
        for name, parameter, address in zip(self.names, self.parameters, self._addresses, strict=True):
            if parameter.data_ptr() != address:
                raise JobError(
                    f"parameter {name} was moved to other memory after training began",
                    where=f"module {name.rpartition('.')[0] or '(the model itself)'}",
                    help="move and cast the model in the function that makes it, not in forward",
                )
