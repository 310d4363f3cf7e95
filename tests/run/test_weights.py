"""Which weights of a run are meant, as it goes on, fails, ends, or is gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gdist.errors import CheckpointError, UsageError
from gdist.run.checkpoint_write import write_checkpoint
from gdist.run.folder import RunFolder
from gdist.run.weights import choose_weights


def save(run: RunFolder, step: int, name: str | None = None) -> Path:
    return write_checkpoint(run.checkpoints, step, files={"model": {"w": torch.ones(step)}}, state={}, name=name)


def test_a_run_that_has_ended_means_its_model_else_its_newest_good_checkpoint(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, name="run")
    with pytest.raises(CheckpointError, match="no weights: neither a model file nor a checkpoint"):
        choose_weights(run)
    save(run, 1)
    second = save(run, 2)
    assert choose_weights(run) == second
    run.write_model({"w": torch.ones(2)})
    run.write_result({"status": "done"})
    assert choose_weights(run) == run.model
    run.remove_result()  # it is gone on with, and its model is that of before
    third = save(run, 3)
    assert choose_weights(run) == third
    run.write_result({"status": "failed"})
    assert choose_weights(run) == third
    (third / "model.safetensors").write_bytes(b"torn")
    assert choose_weights(run) == second


def test_a_checkpoint_is_named_by_its_step_or_its_name(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, name="run")
    first, best = save(run, 1), save(run, 2, name="best")
    again = save(run, 1)
    assert again != first
    assert choose_weights(run, "1") == again
    assert choose_weights(run, "best") == choose_weights(run, "2") == best
    for wrong in ("3", "last"):
        with pytest.raises(UsageError, match=f"run `run` has no checkpoint `{wrong}`") as error:
            choose_weights(run, wrong)
        assert error.value.help == "it has: 1, best"
