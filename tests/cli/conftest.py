from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.command import Gdist


@pytest.fixture(scope="session")
def gdist() -> Iterator[Gdist]:
    command = Gdist()
    yield command
    command.close()
