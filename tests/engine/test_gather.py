"""What a Gather phase merges has the same bits at any number of workers, and need not be a sum."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from gdist.engine.gather import GatherSums
from gdist.engine.plan import owned
from tests.ranks import run_ranks


def _values(part: int) -> Tensor:
    return torch.randn(5 + part, generator=torch.Generator().manual_seed(part)).double() * 3 + 1e6 * part


def _contribution(part: int) -> dict[str, Tensor]:
    x = _values(part)
    square = ((x - x.mean()) ** 2).sum()
    return {
        "moments": torch.stack((x.new_tensor(len(x)), x.mean(), square)),
        "most": x.max().float(),
        "rows": torch.tensor(len(x)),
    }


def _merge(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Chan, Golub and LeVeque's; of the names, one changed in place and two made anew."""
    (n, mean, square), (m, other, more) = left["moments"].tolist(), right["moments"].tolist()
    delta = other - mean
    merged = (n + m, mean + delta * m / (n + m), square + more + delta * delta * n * m / (n + m))
    left["moments"].copy_(torch.tensor(merged, dtype=torch.float64))
    return {
        "moments": left["moments"],
        "most": torch.maximum(left["most"], right["most"]),
        "rows": left["rows"] + right["rows"],
    }


def _gather(collective: object, parts: int) -> tuple[bytes, float, int]:
    sums = GatherSums(_contribution(0), collective, control=1, merge=_merge)  # type: ignore[arg-type]
    for _ in range(2):  # its memory is used again
        sums.open(parts)
        for part in owned(parts, rank=collective.rank, size=collective.size):  # type: ignore[attr-defined]
            sums.add(_contribution(part), part=part)
        found = sums.reduce()
    return found["moments"].numpy().tobytes(), found["most"].item(), int(found["rows"])


@pytest.mark.parametrize("parts", [1, 3, 7, 8])
def test_a_merge_gives_the_same_bits_at_any_number_of_workers(parts: int) -> None:
    from gdist.engine.collective import Alone

    alone = _gather(Alone(), parts)
    for size in (2, 3, 4):
        assert set(run_ranks(_gather, size, parts)) == {alone}
    every = torch.cat([_values(part) for part in range(parts)])
    count, mean, square = np.frombuffer(alone[0])
    assert (count, alone[1], alone[2]) == (len(every), every.max().float().item(), len(every))
    assert mean == pytest.approx(every.mean().item(), rel=1e-14)
    assert square / count == pytest.approx(every.var(correction=0).item(), rel=1e-12)
