"""One fixed binary tree over a step's micro-batches, and which of its nodes a contiguous share of leaves makes up.

Node (level, i) covers leaves [i * 2**level, (i + 1) * 2**level); a node of which only the left half exists equals that half.
A sum along the tree has the same bits whoever owns which leaves: floating-point addition is commutative, and the tree
fixes how it associates.

Vectors that are siblings in the tree are added at once, so that a worker holds at most about log2(its leaves) of them. What
is left, a few whole nodes a worker, is exchanged without arithmetic and added along the rest of the tree: by every worker
for all elements where the message is small or there are two workers, else by each for its slice, which is then handed to
all (for aligned shares as many bytes as a ring). In place of the sum another merge of two vectors may stand; its vectors
travel whole, since one element of the result may need several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from gdist.engine.collective import Collective
from gdist.engine.flat import ALIGN_ELEMENTS
from gdist.engine.plan import owned

SLICED_FROM_BYTES = 1 << 20

T = TypeVar("T")
Node = tuple[int, int]


def largest_nodes(first: int, stop: int) -> list[Node]:
    """The fewest nodes that cover leaves [first, stop), in order."""
    nodes: list[Node] = []
    while first < stop:
        level = 0
        while first % (2 << level) == 0 and first + (2 << level) <= stop:
            level += 1
        nodes.append((level, first >> level))
        first += 1 << level
    return nodes


def evaluate(known: Mapping[Node, T], *, leaves: int, add: Callable[[T, T], T]) -> T:
    """The root's value over ``leaves`` leaves, from nodes that cover each leaf once. ``add(left, right)`` may reuse left."""

    def value(level: int, i: int) -> T | None:
        if (level, i) in known:
            return known[level, i]
        if level == 0 or i << level >= leaves:
            return None
        left, right = value(level - 1, 2 * i), value(level - 1, 2 * i + 1)
        if left is None or right is None:
            return left
        return add(left, right)

    root = value(max(leaves - 1, 0).bit_length(), 0)
    if root is None:
        raise ValueError("no leaf is known")
    return root


class TreeSum:
    """Sums vectors of ``elements`` elements, one a leaf, over the workers' shares of the leaves.

    ``merge(left, right)`` writes to ``left`` what takes the place of their sum, and returns it; it leaves ``right`` alone.
    """

    def __init__(
        self,
        collective: Collective,
        *,
        elements: int,
        dtype: torch.dtype,
        device: torch.device,
        merge: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        self._collective = collective
        self._merge = merge or Tensor.add_
        self._elementwise = merge is None
        self._elements = elements
        self._empty = torch.empty(0, dtype=dtype, device=device)
        self._nodes: dict[Node, Tensor] = {}
        self._spare: list[Tensor] = []
        self._leaves = 0

    def open(self, leaves: int) -> None:
        """Begins a sum over ``leaves`` leaves, of which this worker adds its ``owned`` share in order."""
        self._leaves = leaves
        self._spare += self._nodes.values()
        self._nodes.clear()

    def vector(self) -> Tensor:
        """Memory for one leaf, to be filled whole."""
        return self._spare.pop() if self._spare else self._empty.new_zeros(self._elements)

    def insert(self, leaf: int, vector: Tensor) -> None:
        """Adds ``vector``, made by ``vector()``, as leaf number ``leaf``."""
        level, i = 0, leaf
        while i % 2 and (level, i - 1) in self._nodes:  # the right half of a node whose left half is here
            left = self._merge(self._nodes.pop((level, i - 1)), vector)
            self._spare.append(vector)
            vector, level, i = left, level + 1, i // 2
        self._nodes[level, i] = vector

    def reduce(self, out: Tensor) -> None:
        """Writes the sum over all leaves of all workers to ``out``."""
        rank, size = self._collective.rank, self._collective.size
        if size == 1:
            out.copy_(self._root(self._nodes))
            return
        nodes = [largest_nodes(s.start, s.stop) for s in (owned(self._leaves, rank=r, size=size) for r in range(size))]
        sliced = self._elementwise and size > 2 and self._elements * self._empty.element_size() > SLICED_FROM_BYTES
        slices = _slices(self._elements, size) if sliced else [slice(0, self._elements)] * size
        mine = [self._nodes[node] for node in nodes[rank]]
        where = slices[rank]
        width = where.stop - where.start
        outgoing = [_packed([vector[slices[r]] for vector in mine]) if r != rank else None for r in range(size)]
        incoming = [self._empty.new_empty(len(nodes[r]) * width) if r != rank and nodes[r] else None for r in range(size)]
        self._collective.exchange(outgoing, incoming).wait()

        known = {node: vector[where] for node, vector in zip(nodes[rank], mine, strict=True)}
        for r, received in enumerate(incoming):
            if received is not None:
                known.update(zip(nodes[r], received.view(len(nodes[r]), width), strict=True))
        out[where] = self._root(known)
        if sliced:
            others = [out[slices[r]] if r != rank else None for r in range(size)]
            self._collective.exchange([out[where]] * size, others).wait()

    def _root(self, known: Mapping[Node, Tensor]) -> Tensor:
        return evaluate(known, leaves=self._leaves, add=self._merge)


def _packed(vectors: list[Tensor]) -> Tensor | None:
    """What travels to one worker: a single vector as it lies, several as one message."""
    if not vectors:
        return None
    return vectors[0] if len(vectors) == 1 else torch.cat(vectors)


def _slices(elements: int, size: int) -> list[slice]:
    """``size`` slices of nearly equal length, cut at multiples of 64 elements."""
    blocks = -(-elements // ALIGN_ELEMENTS)
    ends = [min(elements, (r + 1) * blocks // size * ALIGN_ELEMENTS) for r in range(size)]
    return [slice(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
