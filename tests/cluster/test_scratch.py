"""A run's scratch folder lives as long as somebody works in it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from gdist.cluster import scratch


def test_a_folder_that_nobody_holds_is_removed_and_one_in_use_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used, held = scratch.enter_scratch("used")
    left, handle = scratch.enter_scratch("left")
    young, other = scratch.enter_scratch("young")
    os.close(handle)
    os.close(other)
    for path in (used, left):
        os.utime(path, (0, 0))
    assert scratch.remove_abandoned() == ["left"]
    assert (used.exists(), left.exists(), young.exists()) == (True, False, True)
    assert used.stat().st_mode & 0o777 == 0o700
    os.close(held)
