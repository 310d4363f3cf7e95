"""The data benchmark runs, at sizes that measure nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "data.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, timeout=280)


@pytest.mark.timeout(300)
def test_each_part_has_a_rate_and_a_ratio() -> None:
    ran = run(
        "--rows", "2048", "--rounds", "1", "--json", "--contenders", "gdist,scan_to_batches,index_select,copy,pyarrow_csv"
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    beside = {
        "shuffled": "pyarrow_scan",
        "memory": "index_select",
        "text": "copy",
        "csv": "pyarrow_csv",
        "statistics": "pyarrow_scan",
    }
    for part, limit in beside.items():
        assert found[part]["gdist"] > 0
        assert found["ratios"][part][limit] == pytest.approx(found[part]["gdist"] / found[part][limit])
    assert not found["failures"]
    assert found["machine"]["cores"]


def test_an_unknown_part_is_refused() -> None:
    ran = run("--only", "shuffled,speed")
    assert ran.returncode == 2
    assert "speed: not among shuffled, memory, text, csv, statistics" in ran.stderr
