"""Bytes of any length reach every worker, in the order of the workers."""

import pytest

from gdist.engine.collective.share import share_bytes
from tests.ranks import run_ranks


def _share(collective: object) -> list[bytes]:
    rank = collective.rank  # type: ignore[attr-defined]
    return share_bytes(collective, bytes([rank]) * (rank * 100_003))  # type: ignore[arg-type]


@pytest.mark.parametrize("carrier", ["sockets", "gloo"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_worker_has_what_each_gave(size: int, carrier: str) -> None:
    expected = [bytes([rank]) * (rank * 100_003) for rank in range(size)]
    assert run_ranks(_share, size, carrier=carrier) == [expected] * size
