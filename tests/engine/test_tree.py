"""A sum along the tree has the same bits whoever owns which leaves."""

import pytest
import torch

from gdist.engine.collective import Alone
from gdist.engine.plan import owned
from gdist.engine.tree import TreeSum, evaluate, largest_nodes
from tests.ranks import run_ranks


@pytest.mark.parametrize("leaves", [1, 2, 3, 5, 7, 8, 13, 24])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5, 8])
def test_any_ownership_associates_alike(leaves: int, workers: int) -> None:
    whole = evaluate({(0, k): str(k) for k in range(leaves)}, leaves=leaves, add=lambda a, b: f"({a}{b})")
    known = {}
    for rank in range(workers):
        share = owned(leaves, rank=rank, size=workers)
        for level, i in largest_nodes(share.start, share.stop):
            known[level, i] = _node(level, i)
    assert evaluate(known, leaves=leaves, add=lambda a, b: f"({a}{b})") == whole


def _node(level: int, i: int) -> str:
    return f"({_node(level - 1, 2 * i)}{_node(level - 1, 2 * i + 1)})" if level else str(i)


def _tree_sum(collective: object, leaves: int, elements: int) -> bytes:
    tree = TreeSum(collective, elements=elements, dtype=torch.float32, device=torch.device("cpu"))  # type: ignore[arg-type]
    tree.open(leaves)
    for leaf in owned(leaves, rank=collective.rank, size=collective.size):  # type: ignore[attr-defined]
        vector = tree.vector()
        vector.copy_(torch.randn(elements, generator=torch.Generator().manual_seed(leaf)) * 10.0**leaf)
        tree.insert(leaf, vector)
    out = torch.empty(elements)
    tree.reduce(out)
    return out.numpy().tobytes()


@pytest.mark.parametrize(("leaves", "elements"), [(7, 300), (8, 400_000)])
def test_workers_find_the_same_bits_as_one(leaves: int, elements: int) -> None:
    alone = _tree_sum(Alone(), leaves, elements)
    for size in (2, 3):
        assert set(run_ranks(_tree_sum, size, leaves, elements)) == {alone}


def test_the_sum_is_the_sum() -> None:
    found = torch.frombuffer(bytearray(_tree_sum(Alone(), 5, 64)), dtype=torch.float32)
    vectors = [torch.randn(64, generator=torch.Generator().manual_seed(i)).double() * 10.0**i for i in range(5)]
    torch.testing.assert_close(found.double(), sum(vectors), rtol=1e-6, atol=1e-3)
