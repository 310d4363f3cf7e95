"""Checkpoints are whole or absent, whatever happens to the writer, the disk or the files."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from gdist.errors import CheckpointError
from gdist.run.checkpoint import (
    list_checkpoints,
    named_checkpoint,
    newest_checkpoint,
    read_checkpoint,
    remove_leftovers,
)
from gdist.run.checkpoint_write import write_checkpoint
from gdist.run.checkpoint_writer import CheckpointWriter


def write(folder: Path, step: int, *, name: str | None = None) -> Path:
    files = {"model": {"weight": torch.full((256,), float(step))}, "optimizer": {"moment": torch.arange(3)}}
    return write_checkpoint(folder, step, files=files, state={"step": step, "rate": 0.1}, name=name)


def test_what_was_saved_is_read_back_to_the_bit(tmp_path: Path) -> None:
    tied = torch.randn(3, 4, dtype=torch.float64)
    odd = {
        "scalar": torch.tensor(3),
        "empty": torch.empty(0, 5),
        "bf16": torch.randn(5).bfloat16(),
        "flag": torch.tensor([True]),
    }
    columns = {"transposed": torch.randn(3, 5).T, "a": tied, "b": tied, "slice": torch.arange(10.0)[2:5]}
    path = write_checkpoint(tmp_path, 7, files={"model": columns, "state": odd}, state={"epoch": 1, "loss": 0.1 + 0.2})
    found = read_checkpoint(path)
    assert (found.step, found.name, found.state) == (7, None, {"epoch": 1, "loss": 0.1 + 0.2})
    for file, tensors in {"model": columns, "state": odd}.items():
        assert set(found.files[file]) == set(tensors)
        for name, tensor in tensors.items():
            assert found.files[file][name].dtype == tensor.dtype
            assert torch.equal(found.files[file][name], tensor), name


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [_truncate, _empty, _flip, Path.unlink])
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_harmed_file_is_named_and_the_one_before_is_taken(tmp_path: Path, file: str, harm: object) -> None:
    good = write(tmp_path, 1)
    harmed = write(tmp_path, 2)
    harm(harmed / file)  # type: ignore[operator]
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(harmed)
    assert caught.value.where == str(harmed / file)
    assert caught.value.help
    passed_over: list[CheckpointError] = []
    assert newest_checkpoint(tmp_path, on_bad=passed_over.append) == good
    assert [error.where for error in passed_over] == ([] if not (harmed / "manifest.json").exists() else [str(harmed / file)])


def test_a_writer_killed_at_any_touch_of_the_disk_leaves_a_good_checkpoint(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed_writer.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    died, last = found[:-1], found[-1]
    assert len(died) >= 10
    assert all(case["killed"] and case["at"] for case in died), "each fault fired"
    assert {case["at"].split()[0] for case in died} >= {"open", "os.rename", "os.mkdir"}
    assert all(case["whole"] for case in found), [case for case in found if not case["whole"]]
    assert {case["step"] for case in died} == {1, 2}, "some died before the new one was durable, some after"
    assert [case["step"] for case in died] == sorted(case["step"] for case in died), "once durable, it stays"
    assert not last["killed"]
    assert last["left"] == ["step-00000002"]
    assert all(set(case["left"]) <= {"step-00000001", "step-00000002"} for case in found), "nothing unfinished is left over"


@contextmanager
def small_disk() -> Iterator[None]:
    """No file may grow past 2 kB: what a full disk is to a writer. Not while pytest itself writes: its output may be a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)


def test_a_full_disk_keeps_the_older_checkpoint_and_says_so(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path, keep=1)
    writer.save(1, files={"model": {"weight": torch.zeros(8)}}, state={}, wait=True)
    with small_disk(), pytest.raises(CheckpointError):
        writer.save(2, files={"model": {"weight": torch.zeros(4096)}}, state={}, wait=True)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert newest_checkpoint(tmp_path) == tmp_path / "step-00000001"
    writer.save(3, files={"model": {"weight": torch.zeros(8)}}, state={}, wait=True)  # it tries again
    assert writer.last_error is None
    assert [report.error is None for report in writer.reports()] == [True, False, True]
    writer.close()


def test_what_training_changes_after_save_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    weight = torch.ones(1000)
    writer = CheckpointWriter(tmp_path)
    writer.save(1, files={"model": {"weight": weight}}, state={})
    weight.zero_()
    writer.close()
    assert torch.equal(read_checkpoint(tmp_path / "step-00000001").files["model"]["weight"], torch.ones(1000))


def test_the_last_few_are_kept_and_a_named_one_is_outlived_only_by_its_successor(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path, keep=2)
    for step in (1, 2, 3, 4):
        writer.save(step, files={"model": {"weight": torch.zeros(1)}}, state={}, wait=True)
        if step in (1, 3):
            writer.save(step, files={"model": {"weight": torch.zeros(1)}}, state={}, name="best", wait=True)
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-step-00000003", "step-00000003", "step-00000004"]
    assert named_checkpoint(tmp_path, "best") == tmp_path / "best-step-00000003"


def test_a_step_written_again_gets_a_new_name_and_is_the_newest(tmp_path: Path) -> None:
    first, second = write(tmp_path, 5), write(tmp_path, 5)
    assert (first.name, second.name) == ("step-00000005", "step-00000005.2")
    assert newest_checkpoint(tmp_path) == second


def test_a_folder_without_a_manifest_is_no_checkpoint_and_is_cleared(tmp_path: Path) -> None:
    good, torn = write(tmp_path, 1), write(tmp_path, 2)
    (torn / "manifest.json").unlink()
    assert [place.path for place in list_checkpoints(tmp_path)] == [good]
    remove_leftovers(tmp_path)
    assert not torn.exists()
    assert newest_checkpoint(tmp_path / "absent") is None


def test_many_saves_in_a_row_leave_the_newest_of_each_name(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path, keep=1)
    for step in range(1, 31):  # faster than they can be written: most are superseded while they wait
        for name in (None, "best", "last"):
            writer.save(step, files={"model": {"w": torch.full((200,), float(step))}}, state={}, name=name)
    writer.close()
    assert {(place.name, place.step) for place in list_checkpoints(tmp_path)} == {(None, 30), ("best", 30), ("last", 30)}
