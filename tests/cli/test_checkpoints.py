"""``gdist checkpoints``: what it lists, what it verifies, what it keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Gdist, write_job


@pytest.fixture
def trained(gdist: Gdist, tmp_path: Path) -> Path:
    """A folder with a complete run, ``tiny``: 3 epochs of 5 steps, a checkpoint each 4 and one at the end."""
    write_job(tmp_path)
    assert gdist("train", "tiny.py", "--local", cwd=tmp_path).returncode == 0
    return tmp_path


def found(gdist: Gdist, folder: Path, *words: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(gdist("checkpoints", *words, "--json", cwd=folder).stdout)
    return told


def test_they_are_listed_with_the_newest_good_one(gdist: Gdist, trained: Path) -> None:
    ended = gdist("checkpoints", "ti", cwd=trained)
    assert (ended.returncode, ended.stderr) == (0, "")
    title, *rows = ended.stdout.splitlines()
    assert title.split()[:5] == ["step", "epoch", "age", "size", "parts"]
    assert [row.split()[0] for row in rows[:3]] == ["8", "12", "15"]
    assert rows[2].endswith("newest good")
    assert rows[-1] == "3 checkpoints; their files were not read; --verify does; gdist resume tiny goes on from step 15"


def test_a_flipped_bit_is_found_and_named(gdist: Gdist, trained: Path) -> None:
    assert gdist("checkpoints", "@", "--verify", cwd=trained).returncode == 0
    harmed = next((trained / "runs" / "tiny" / "checkpoints").glob("step-00000015/model.safetensors"))
    content = bytearray(harmed.read_bytes())
    content[-3] ^= 4
    harmed.write_bytes(content)
    ended = gdist("checkpoints", "@", "--verify", cwd=trained)
    assert ended.returncode == 1
    assert "damaged: step 15: model.safetensors of the checkpoint is altered" in ended.stdout
    assert "checkpoints/step-00000015/model.safetensors" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "3 checkpoints, 1 damaged; gdist resume tiny goes on from step 12"
    told = found(gdist, trained, "tiny", "--verify")
    assert (told["newest_good"], told["verified"]) == ("step-00000012", True)
    assert [bool(each["damage"]) for each in told["checkpoints"]] == [False, False, True]


def test_one_that_gets_a_name_stays(gdist: Gdist, trained: Path) -> None:
    assert [each["name"] for each in found(gdist, trained, "tiny", "--name", "golden", "--step", "8")["checkpoints"]] == [
        "golden",
        None,
        None,
    ]
    assert gdist("resume", "tiny", "--local", "epochs=6", cwd=trained).returncode == 0
    steps = [(each["name"], each["step"]) for each in found(gdist, trained, "tiny")["checkpoints"]]
    assert steps[0] == ("golden", 8)
    assert gdist("evaluate", "tiny", "--local", "--checkpoint", "golden", cwd=trained).returncode == 0
    wrong = gdist("checkpoints", "tiny", "--name", "a/b", cwd=trained)
    assert (wrong.returncode, "cannot be a checkpoint's name" in wrong.stderr) == (2, True)
