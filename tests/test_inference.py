"""``evaluate`` and ``predict`` from Python: values and arrays, of runs whose job has no file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gdist import Job, Result, evaluate, predict, train
from gdist.errors import UsageError

GENERATOR = torch.Generator().manual_seed(1)
X = torch.randn(200, 8, generator=GENERATOR)
Y = torch.stack([X[:, 0], X[:, 1] - X[:, 2]], 1)


def net() -> nn.Module:
    return nn.Linear(8, 2)


def make() -> Job:
    return Job(model=net, loss="mse", data=(X, Y), validation=0.2, metrics=["r2"], batch_size=32, epochs=2, ema=0.9)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(tmp_path)
    return train(make(), local=True, name="run", show=False)


def test_evaluate_gives_the_values_of_training_or_of_other_data(run: Result) -> None:
    assert evaluate("run", job=make(), local=True, show=False) == run.validation
    model = net()
    model.load_state_dict(run.model_state())
    other = torch.randn(50, 8, generator=torch.Generator().manual_seed(2))
    found = evaluate(run.path, job=make(), data=(other, torch.zeros(50, 2)), metrics=["mae"], local=True, show=False)
    with torch.no_grad():
        outputs = model(other)
    assert found == pytest.approx({"loss": float(outputs.square().mean()), "mae": float(outputs.abs().mean())}, rel=1e-5)


def test_a_checkpoint_has_the_averages_that_its_evaluation_looked_through(run: Result) -> None:
    assert evaluate("run", job=make(), checkpoint=run.steps, local=True, show=False) == run.validation


def test_predict_gives_arrays_and_leaves_no_file(run: Result) -> None:
    other = np.random.default_rng(0).normal(size=(50, 8)).astype("float32")
    found = predict("run", job=make(), data=other, local=True, show=False)
    assert set(found) == {"row", "prediction"}
    np.testing.assert_array_equal(found["row"], np.arange(50))
    model = net()
    model.load_state_dict(run.model_state())
    with torch.no_grad():
        expected = model(torch.from_numpy(other)).numpy()
    assert (found["prediction"].shape, found["prediction"].dtype) == ((50, 2), np.float32)
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-5, atol=1e-6)
    assert [path.name for path in run.path.parent.iterdir()] == ["run"]


def test_the_rows_that_were_held_out_keep_their_numbers(run: Result) -> None:
    rows = predict("run", job=make(), local=True, show=False)["row"]
    assert len(rows) == 40
    assert (np.diff(rows) > 0).all()
    assert rows.max() < 200


def test_a_job_that_was_made_in_python_must_be_made_again(run: Result) -> None:
    with pytest.raises(UsageError, match="was made in Python and has no file") as caught:
        predict("run", data=X, local=True)
    assert caught.value.help == 'make it again there, and: gdist.predict("run", job=job)'
