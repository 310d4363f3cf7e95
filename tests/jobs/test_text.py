"""The job that writes Python: its figure's direction, that no byte sees what comes after it, and that it writes."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gdist import train

FILE = Path(__file__).resolve().parents[2] / "jobs" / "text.py"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDIST_CACHE", str(tmp_path / "cache"))


def test_no_byte_sees_what_comes_after_it() -> None:
    torch.manual_seed(0)
    model = runpy.run_path(str(FILE))["Writer"]()
    text = torch.randint(256, (2, 40))
    other = text.clone()
    other[:, 25] += 1
    other %= 256
    assert torch.equal(model(text)[:, :25], model(other)[:, :25])
    assert not torch.equal(model(text)[:, 25], model(other)[:, 25])
    assert torch.allclose(model(text[:, :25]), model(text)[:, :25], atol=1e-5)


def test_it_learns_and_writes(tmp_path: Path) -> None:
    """A hundred of its steps: guessing takes 8 bits, single bytes' frequencies 4.8, and it is below them."""
    overrides = ["steps=100", "threads=1", "validation=0.005", "schedule.warmup=10"]
    result = train(FILE, local=True, show=False, runs=tmp_path, overrides=overrides)
    assert result.validation is not None
    assert result.validation["loss"] < 4
    done = subprocess.run([sys.executable, FILE, result.path], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("class Queue:\n    def ")
    assert len(done.stdout) > 300


@pytest.mark.long
def test_it_reaches_the_figure_in_its_first_lines(tmp_path: Path) -> None:
    result = train(FILE, local=True, show=False, runs=tmp_path)
    assert result.validation is not None
    assert result.validation["loss"] < 1.9
