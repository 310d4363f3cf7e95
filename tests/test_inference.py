"""``evaluate`` and ``predict`` from Python: values and arrays, of runs whose job has no file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from gdist import DataFacts, Job, Parquet, Result, evaluate, predict, train
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


SIZES, COLOURS = np.random.default_rng(3).normal(50, 10, size=200), ["red", "green", "blue", "grey"]


class Sorter(nn.Module):
    """Of size, colour's code and weight, in the order in which the data has them."""

    def __init__(self, data: DataFacts) -> None:
        super().__init__()
        assert data.features == ("size", "colour", "weight")
        assert data.categories == {"colour": 5}
        assert data.classes == 3
        self.colours = nn.Embedding(data.categories["colour"], 4)
        self.out = nn.Linear(6, data.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.cat([x[:, [0, 2]], self.colours(x[:, 1].long())], 1))


def table(rows: slice) -> pa.Table:
    sizes = SIZES[rows]
    return pa.table({
        "size": pa.array(sizes, mask=sizes > 65), "colour": [COLOURS[i % 4] for i in range(len(sizes))],
        "weight": sizes * 2.0, "kind": ["small" if s < 45 else "large" if s > 55 else "fair" for s in sizes],
    })  # fmt: skip


def sort_job() -> Job:
    data = Parquet(
        path="all.parquet", target="kind", scale={"size": "standardize", "weight": "minmax"}, fill={"size": "mean"},
        categories=["colour", "kind"],
    )  # fmt: skip
    return Job(model=Sorter, loss="cross_entropy", data=data, validation=0.25, metrics=["accuracy"], batch_size=50, epochs=30,
               optimizer="adam")  # fmt: skip


def test_what_was_learned_of_the_data_is_applied_to_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(table(slice(0, 200)), "all.parquet")
    run = train(sort_job(), local=True, name="sort", show=False, overrides=["optimizer.lr=0.05"])
    assert evaluate("sort", job=sort_job(), local=True, show=False) == run.validation

    whole = predict("sort", job=sort_job(), data="all.parquet", keep=["kind"], local=True, show=False)
    assert set(whole["prediction"]) == {"small", "fair", "large"}
    assert (whole["prediction"] == whole["kind"]).mean() > 0.8
    # A part of it, elsewhere, in another format and another order, without a target, with a colour that nobody knows:
    part = table(slice(0, 40)).select(["weight", "size", "colour"])
    part = part.set_column(2, "colour", pa.array(["mauve", *part["colour"].to_pylist()[1:]]))
    pyarrow.csv.write_csv(part, "part.csv")
    found = predict("sort", job=sort_job(), data="part.csv", keep=["colour"], local=True, show=False)
    assert found["colour"].tolist() == part["colour"].to_pylist()
    assert found["prediction"][1:].tolist() == whole["prediction"][1:40].tolist()
    np.testing.assert_allclose(found["probability"][1:], whole["probability"][1:40], rtol=1e-5)


def narrow() -> nn.Module:
    return nn.Linear(4, 1)


def test_data_larger_than_memory_with_bad_rows_lines_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(20_000, 4)).astype("float32")
    bad = np.arange(20_000) % 1_001 == 7
    bad[5_000:5_400] = True
    x[bad, 2] = np.nan
    names = [f"n{i}" for i in range(len(x))]
    columns = {f"x{i}": x[:, i] for i in range(4)}
    pq.write_table(pa.table({**columns, "y": x[:, 0], "name": names}), "many.parquet", row_group_size=500)
    source = Parquet(path="many.parquet", features="x*", target="y", on_bad_rows="skip", memory="200kB")
    assert source.open().follows
    job = Job(model=narrow, loss="mse", data=source, validation=0.1, batch_size=500, epochs=1, micro_batches=4)
    run = train(job, local=True, name="run", show=False)
    assert evaluate("run", job=job, local=True, show=False) == run.validation
    found = predict("run", job=job, data="many.parquet", keep=["name"], local=True, show=False)
    assert found["row"].tolist() == list(range(20_000))
    assert found["name"].tolist() == names
    np.testing.assert_array_equal(np.isnan(found["prediction"]), bad)
    model = narrow()
    model.load_state_dict(run.model_state())
    with torch.no_grad():
        expected = model(torch.from_numpy(x))[:, 0].numpy()
    np.testing.assert_allclose(found["prediction"][~bad], expected[~bad], rtol=1e-4, atol=1e-6)
