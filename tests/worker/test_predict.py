"""Predicting with a trained run: every row once and in order, the same bits at any number of workers, those of plain torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from gdist.data.batch import Batch
from gdist.data.tensors import Tensors
from gdist.engine.collective import Alone, Collective
from gdist.errors import JobError, PeerLost, UsageError
from gdist.job import Job
from gdist.records import Wishes
from gdist.run.model import read_model
from gdist.worker import rounds
from gdist.worker.predicting import as_column, said
from tests.ranks import run_ranks
from tests.worker.asked import ask, other_data
from tests.worker.jobs import Trained, network, plain, train_job


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("plain", "normed", "gan"):
        assert train_job(Alone(), name, (), str(folder / name)).error is None
    return folder


def predict(collective: Collective, name: str, run_dir: str, out: str) -> Trained:
    return ask(collective, "predict", name, run_dir, data=other_data(target=False), out=out)


@pytest.mark.parametrize(("name", "make"), [("plain", plain), ("normed", network)])
def test_every_row_comes_once_and_in_order_with_the_same_bits_at_any_number_of_workers(
    name: str, make: Any, runs: Path, tmp_path: Path
) -> None:
    outs = [tmp_path / f"{workers}.parquet" for workers in (1, 2, 3)]
    for workers, out in enumerate(outs, start=1):
        for found in run_ranks(predict, workers, name, str(runs / name), str(out)):
            assert found.error is None, found.error
            assert (found.result["rows"], found.result["bad"], found.result["workers"]) == (90, 0, workers)
        assert found.result["status"] == "done"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.parquet", "2.parquet", "3.parquet"]
    assert outs[0].read_bytes() == outs[1].read_bytes() == outs[2].read_bytes()

    model = make()
    model.load_state_dict(read_model(runs / name))
    model.eval()
    with torch.no_grad():
        expected = model(other_data().features).softmax(1)
    table = pq.read_table(outs[0])
    assert table.column_names == ["row", "prediction", "probability"]
    assert table["row"].to_pylist() == list(range(90))
    assert table["prediction"].to_pylist() == expected.argmax(1).tolist()
    assert table["probability"].to_pylist() == pytest.approx(expected.amax(1).tolist(), rel=1e-5)


@pytest.mark.parametrize("kind", ["arrow", "csv", "jsonl"])
def test_the_files_ending_says_its_kind(kind: str, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / f"x.{kind}"
    assert predict(Alone(), "plain", str(runs / "plain"), str(out)).error is None
    assert predict(Alone(), "plain", str(runs / "plain"), str(tmp_path / "x.parquet")).error is None
    expected = pq.read_table(tmp_path / "x.parquet").to_pydict()
    if kind == "arrow":
        found = pa.ipc.open_file(out).read_all().to_pydict()
    elif kind == "csv":
        found = pyarrow.csv.read_csv(out).to_pydict()
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        found = {name: [row[name] for row in rows] for name in rows[0]}
    assert {name: pytest.approx(values, rel=1e-6) for name, values in found.items()} == expected


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("x.txt", "of which kind is a file that ends in .txt?"),
        ("x", "of which kind is a file that has no ending?"),
        ("no/x.parquet", "there is no folder"),
        ("s3://bucket/x.parquet", "written to a local file"),
        ("there.parquet", "the file is there already"),
    ],
)
def test_a_file_that_cannot_be_is_refused_at_once(
    out: str, says: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gdist.run.ask import order_to
    from tests.worker.jobs import JOBS

    monkeypatch.chdir(tmp_path)
    Path("there.parquet").write_text("mine")
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        order_to("predict", runs / "plain", job=JOBS["plain"](), out=out)
    assert Path("there.parquet").read_text() == "mine"


def predict_until_it_fails(collective: Collective, run_dir: str, out: str) -> Trained:
    """The last worker's model fails at its third batch."""
    if collective.rank == collective.size - 1:
        calls = iter(range(3))
        nn.Tanh.forward = lambda self, x: (next(calls), torch.tanh(x))[1]  # type: ignore[method-assign]
    try:
        return predict(collective, "plain", run_dir, out)
    finally:
        nn.Tanh.forward = _TANH  # type: ignore[method-assign]


_TANH = nn.Tanh.forward


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_failure_leaves_nothing_and_what_was_there_before(workers: int, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    out.write_text("of yesterday")
    found = run_ranks(predict_until_it_fails, workers, str(runs / "plain"), str(out))
    assert "the prediction failed in the job's code" in str(found[-1].error)
    assert all(isinstance(each.error, PeerLost) for each in found[:-1])
    assert os.listdir(tmp_path) == ["x.parquet"]
    assert out.read_text() == "of yesterday"


def predict_and_stop(collective: Collective, run_dir: str, out: str) -> Trained:
    """Somebody wants worker 1 to stop, before the first round ends."""
    rounds.ROUND_S, kept = 0.0, rounds.ROUND_S
    bits, Wishes.bits = Wishes.bits, lambda self: 1 if collective.rank == 1 else 0  # type: ignore[method-assign]
    try:
        return predict(collective, "plain", run_dir, out)
    finally:
        rounds.ROUND_S, Wishes.bits = kept, bits  # type: ignore[method-assign]


def test_a_wish_to_stop_acts_on_all_and_leaves_nothing(runs: Path, tmp_path: Path) -> None:
    for found in run_ranks(predict_and_stop, 2, str(runs / "plain"), str(tmp_path / "x.parquet")):
        assert found.error is None
        assert (found.result["status"], found.result["reason"]) == ("stopped", "asked to stop")
        assert "rows" not in found.result
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_taken_over(runs: Path, tmp_path: Path) -> None:
    left = tmp_path / ".x.parquet.parts"
    left.mkdir()
    (left / "0007.arrow").write_text("half of")
    assert predict(Alone(), "plain", str(runs / "plain"), str(tmp_path / "x.parquet")).error is None
    assert os.listdir(tmp_path) == ["x.parquet"]


def test_a_task_without_predict_says_so(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Adversaries says nothing of a row: it has no `predict`"):
        predict(Alone(), "gan", str(runs / "gan"), str(tmp_path / "x.parquet"))


class Holes(Tensors):
    """Every seventh row from the third is bad, and all from 60 to 69."""

    def open(self) -> Any:
        rows = super().open()
        take = rows.take

        def with_holes(numbers: Any) -> Batch:
            good = (numbers % 7 != 3) & ~((numbers >= 60) & (numbers < 70))
            batch = take(numbers[good])
            batch.bad = int((~good).sum())
            return batch

        rows.take = with_holes
        return rows


def predict_with_holes(collective: Collective, run_dir: str, out: str) -> Trained:
    return ask(collective, "predict", "plain", run_dir, data=Holes(features=other_data().features), out=out)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_bad_rows_are_nulls_so_that_rows_line_up(workers: int, runs: Path, tmp_path: Path) -> None:
    for found in run_ranks(predict_with_holes, workers, str(runs / "plain"), str(tmp_path / "x.parquet")):
        assert found.error is None, found.error
        assert found.result["bad"] == len([row for row in range(90) if row % 7 == 3 or 60 <= row < 70])
    assert predict(Alone(), "plain", str(runs / "plain"), str(tmp_path / "all.parquet")).error is None
    table, whole = (pq.read_table(tmp_path / name).to_pydict() for name in ("x.parquet", "all.parquet"))
    assert table["row"] == list(range(90))
    for row in range(90):
        bad = row % 7 == 3 or 60 <= row < 70
        assert table["prediction"][row] == (None if bad else whole["prediction"][row])


@pytest.mark.parametrize(
    ("loss", "outputs", "expected"),
    [
        ("mse", torch.tensor([[1.5], [2.0]]), {"prediction": [1.5, 2.0]}),
        ("mae", torch.tensor([[1.0, 2.0], [3.0, 4.0]]), {"prediction": [[1.0, 2.0], [3.0, 4.0]]}),
        ("hinge", torch.tensor([-1.0, 2.0]), {"prediction": [0, 1]}),
        ("binary_cross_entropy", torch.tensor([[0.0], [4.0]]), {"prediction": [0, 1], "probability": [0.5, 0.98201376]}),
        ("cross_entropy", torch.zeros(1, 3, 2), {"prediction": [[0, 0, 0]], "probability": [[0.5, 0.5, 0.5]]}),
        ("cross_entropy", torch.tensor([[0.0, 1.0]]).bfloat16(), {"prediction": [1], "probability": [0.7310586]}),
        (lambda model, batch: None, torch.ones(1, 2, 2), {"prediction": [[[1.0, 1.0], [1.0, 1.0]]]}),
    ],
)
def test_what_is_said_follows_from_the_loss(loss: Any, outputs: torch.Tensor, expected: dict[str, Any]) -> None:
    job = Job(model=plain, loss=loss, data=(torch.zeros(1, 12), torch.zeros(1)))
    found = {name: as_column(values).to_pylist() for name, values in said(job, outputs).items()}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.allclose(torch.tensor(found[name]), torch.tensor(values))
