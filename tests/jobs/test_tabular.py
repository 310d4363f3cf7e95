"""The job on a mixed table: what it reads, what is learned before its first step, and that it learns."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gdist import train

JOB = Path(__file__).resolve().parents[2] / "jobs" / "tabular.py"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))


def test_the_parcels_are_written_once_with_gaps_and_several_of_each_driver(home: Path) -> None:
    runpy.run_path(str(JOB))
    (file,) = (home / ".cache" / "gdist").glob("*.parquet")
    table = pq.read_table(file)
    assert len(table) == 30_000
    gaps = {name: table.column(name).null_count / len(table) for name in table.column_names}
    assert {name: round(share, 2) for name, share in gaps.items() if share} == {
        "vehicle": 0.03, "rain_mm": 0.1, "temperature": 0.15
    }  # fmt: skip
    assert np.bincount(table.column("driver").to_numpy()).min() > 20
    assert table.column("log_minutes").to_numpy().var() == pytest.approx(0.26, abs=0.01)
    before = file.stat().st_mtime_ns
    runpy.run_path(str(JOB))
    assert file.stat().st_mtime_ns == before


def test_the_law_is_found_and_what_was_learned_is_kept_with_the_run(tmp_path: Path) -> None:
    """Four of its twenty epochs, on one thread."""
    result = train(JOB, local=True, show=False, runs=tmp_path, overrides=["epochs=4", "threads=1"])
    assert result.validation is not None
    assert result.validation["loss"] < 0.04
    (kept,) = tmp_path.glob("*/data.json")
    learned = json.loads(kept.read_text())["state"]["learned"]
    assert learned["vehicle"]["vocabulary"] == ["bicycle", "scooter", "truck", "van"]
    assert learned["temperature"]["fill"] == pytest.approx([9], abs=0.5)
