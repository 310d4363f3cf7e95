"""Small blocks, so that small files have several, and a cache of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _cache_of_the_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    """The bytes of a block."""
    monkeypatch.setattr("gdist.data.formats.blocks.BLOCK_BYTES", 256)
    return 256


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.txt"
