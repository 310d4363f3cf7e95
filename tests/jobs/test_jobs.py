"""The jobs that come with gdist: what they read, and that they learn."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gdist import train

JOBS = Path(__file__).resolve().parents[2] / "jobs"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))


def test_the_digits_are_written_once_whole_and_each_on_one_side(home: Path) -> None:
    runpy.run_path(str(JOBS / "digits.py"))
    files = sorted((home / ".cache" / "gdist" / "digits").iterdir())
    assert [file.name for file in files] == ["train.parquet", "validation.parquet"]
    train_part, validation_part = (pq.read_table(file) for file in files)
    assert (len(train_part), len(validation_part)) == (1437, 360)
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.concatenate([np.stack(part["image"].to_numpy()) for part in (train_part, validation_part)])
    assert sorted(map(tuple, images * 16)) == sorted(map(tuple, pixels))
    written = np.concatenate([part["digit"].to_numpy() for part in (train_part, validation_part)])
    assert np.bincount(written).tolist() == np.bincount(labels).tolist()
    before = [file.stat().st_mtime_ns for file in files]
    runpy.run_path(str(JOBS / "digits.py"))
    assert [file.stat().st_mtime_ns for file in files] == before


def test_the_digits_are_learned(tmp_path: Path) -> None:
    """Five of its twenty epochs, on one thread."""
    result = train(JOBS / "digits.py", local=True, show=False, runs=tmp_path, overrides=["epochs=5", "threads=1"])
    assert result.validation is not None
    assert result.validation["accuracy"] > 0.9


@pytest.mark.long
def test_the_digits_are_read_right_in_985_of_1000_cases(tmp_path: Path) -> None:
    accuracies = []
    for seed in range(5):
        result = train(JOBS / "digits.py", local=True, show=False, runs=tmp_path, overrides=[f"seed={seed}", "threads=1"])
        assert result.validation is not None
        accuracies.append(result.validation["accuracy"])
    assert np.median(accuracies) >= 0.985


@pytest.mark.parametrize(
    ("overrides", "tolerance"), [(["precision=fp64"], 1e-12), (["precision=fp32"], 1e-6), (["micro_batches=7"], 1e-12)]
)
def test_the_gradient_by_hand_and_the_engine_s_take_the_same_path(
    tmp_path: Path, overrides: list[str], tolerance: float
) -> None:
    by_hand = runpy.run_path(str(JOBS / "linear_by_hand.py"))["descend_by_hand"]
    losses, w, b = by_hand()
    result = train(JOBS / "linear_by_hand.py", local=True, show=False, runs=tmp_path, overrides=overrides)
    assert result.metrics()["loss"].to_pylist() == pytest.approx(losses, rel=tolerance)
    state = result.model_state()
    assert state["weight"].numpy()[0] == pytest.approx(w, rel=1e-5)
    assert state["bias"].item() == pytest.approx(b, rel=1e-5)
