"""Training on a table larger than its memory: the same model at any worker count, through a resume, with little read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from gdist import Job, Parquet
from gdist.data import Batch, DataFacts
from gdist.data.table_rows import TableRows
from gdist.engine.collective import Collective
from gdist.engine.collective.alone import Alone
from gdist.errors import DataError
from gdist.job.overrides import apply_overrides
from gdist.records import Membership, Order, Wishes
from gdist.run.folder import RunFolder
from gdist.worker.check import check_job
from gdist.worker.member import Member
from tests.ranks import run_ranks
from tests.worker.jobs import Trained

ROWS, GROUP = 6_000, 60


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred row groups: three numbers (one with gaps), a category, text nobody uses, and the class to predict."""
    rng = np.random.default_rng(0)
    x = rng.normal(50, 10, (ROWS, 3))
    kind = rng.choice(["red", "green", "blue"], ROWS)
    label = ((x[:, 0] - 50) / 10 + (kind == "red") + rng.normal(0, 0.3, ROWS) > 0.3).astype(np.int64)
    columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(3)}
    columns["x1"] = pa.array(x[:, 1], mask=rng.random(ROWS) < 0.1)
    columns |= {"kind": kind, "label": label, "unused": ["some words that nobody reads"] * ROWS}
    path = tmp_path_factory.mktemp("data") / "table.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=GROUP)
    return path


class Net(nn.Module):
    def __init__(self, data: DataFacts) -> None:
        super().__init__()
        self.kinds = nn.Embedding(data.categories["kind"], 4)
        self.layers = nn.Sequential(nn.Linear(data.width + 4, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(torch.cat([x, self.kinds(kind).to(x.dtype)], dim=1))
        return out


def noisy(batch: Batch, rng: torch.Generator) -> Batch:
    features = batch.features + 0.1 * torch.randn(batch.features.shape, generator=rng, dtype=batch.features.dtype)
    return Batch({**batch.columns, "features": features})


def job(path: Path, **fields: Any) -> Job:
    data = Parquet(
        path=path, features="x*", target="label", extra={"kind": "kind"}, categories="kind", scale="standardize",
        fill={"x1": "median"}, indicators=True, memory="64KiB",
    )  # fmt: skip
    common: dict[str, Any] = {"batch_size": 120, "epochs": 2, "validation": 0.2, "threads": 1, "metrics": ["accuracy"]}
    return Job(
        model=Net, predict=lambda model, batch: model(batch.features, batch["kind"]), loss="cross_entropy", data=data,
        **(common | fields),
    )  # fmt: skip


def _train(
    collective: Collective,
    path: Path,
    words: tuple[str, ...],
    run_dir: str | None = None,
    resume: bool = False,
    transform: bool = False,
) -> tuple[Trained, int, int]:
    """Trains; returns what was left, bytes of rows read, and bytes of the columns in use."""
    trained = Trained()
    made = apply_overrides(job(path, transform=noisy if transform else None), words)
    order = Order(job=made, resume=resume, run_dir=run_dir)
    member = Member(order, slot=collective.rank, send=trained.send, wishes=Wishes())
    if run_dir and not resume and collective.rank == 0:
        RunFolder.create(name="run", run_dir=run_dir)
    try:
        member.prepare()
        member.join(Membership(generation=1, rank=collective.rank, size=collective.size, run_dir=run_dir), collective)
        rows = member.built.feed.rows
        assert isinstance(rows, TableRows)
        assert rows.follows
        before = rows.bytes_read
        trained.result = member.work()
        read = rows.bytes_read - before
    except Exception as error:
        trained.error = error
        return trained, 0, 0
    finally:
        member.close()
    return trained, read, _stored_bytes(path)


def _stored_bytes(path: Path) -> int:
    """Of the columns that the job uses."""
    metadata = pq.ParquetFile(path).metadata
    chunks = [metadata.row_group(g).column(c) for g in range(metadata.num_row_groups) for c in range(metadata.num_columns)]
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema != "unused")


@pytest.mark.parametrize(("sizes", "transform"), [((1, 2, 3, 4), False), ((1, 3), True)])
def test_exact_weights_are_the_same_bits_at_any_number_of_workers(table: Path, sizes: Any, transform: bool) -> None:
    found = {size: run_ranks(_train, size, table, ("exact=true",), None, False, transform)[0][0] for size in sizes}
    assert all(one.error is None for one in found.values()), [one.error for one in found.values()]
    hashes = {size: one.result["weights_sha256"] for size, one in found.items()}
    assert len(set(hashes.values())) == 1, hashes
    assert found[1].result["validation"]["accuracy"] > 0.7
    assert len({one.result["validation"]["loss"] for one in found.values()}) == 1


def test_the_transform_s_random_numbers_are_the_micro_batch_s_own(table: Path) -> None:
    plain, changed = (run_ranks(_train, 1, table, ("epochs=1",), None, False, t)[0][0] for t in (False, True))
    assert plain.losses() != changed.losses()
    again = run_ranks(_train, 2, table, ("epochs=1", "precision=fp64"), None, False, True)[0][0]
    alone = run_ranks(_train, 1, table, ("epochs=1", "precision=fp64"), None, False, True)[0][0]
    assert again.losses() == pytest.approx(alone.losses(), rel=1e-9)


def test_four_workers_together_read_little_more_than_the_data_each_epoch(table: Path) -> None:
    """Of the columns in use alone; a transform, which goes micro-batch by micro-batch, changes nothing about it."""
    for size, transform in ((1, False), (1, True), (2, False), (4, False)):
        words = ("batch_size=128", "validation=null", "metrics=[]")
        found = run_ranks(_train, size, table, words, None, False, transform)
        read = sum(one[1] for one in found)
        assert read <= 1.2 * 2 * found[0][2], (size, read, found[0][2])


def test_a_resumed_run_is_the_uninterrupted_one(table: Path, tmp_path: Path) -> None:
    whole = run_ranks(_train, 1, table, ("exact=true",))[0][0]
    halves = str(tmp_path / "run")
    first = run_ranks(_train, 2, table, ("exact=true", "steps=55", "checkpoint_every=55"), halves)[0][0]
    assert first.error is None
    second = run_ranks(_train, 3, table, ("exact=true",), halves, True)[0][0]
    assert second.error is None
    assert second.result["weights_sha256"] == whole.result["weights_sha256"]


def test_a_resume_refuses_data_that_has_changed(table: Path, tmp_path: Path) -> None:
    copy, run = tmp_path / "table.parquet", str(tmp_path / "run")
    copy.write_bytes(table.read_bytes())
    os.utime(copy, ns=(1, 1))
    assert run_ranks(_train, 1, copy, ("epochs=1",), run)[0][0].error is None
    os.utime(copy, ns=(2, 2))
    error = run_ranks(_train, 1, copy, (), run, True)[0][0].error
    assert isinstance(error, DataError)
    assert error.what == "the data has changed since the run began"
    assert error.where == str(copy)
    assert error.note == "it has been written again since, or copied without its time"


def test_bad_rows_are_holes_that_move_nothing(table: Path, tmp_path: Path) -> None:
    """A NaN in one row: that micro-batch is a row shorter; every other micro-batch is what it was."""
    bad = tmp_path / "bad.parquet"
    columns = pq.read_table(table)
    values = columns.column("x0").to_numpy().copy()
    values[4_321] = np.nan
    columns = columns.set_column(columns.column_names.index("x0"), "x0", pa.array(values))
    pq.write_table(columns, bad, row_group_size=GROUP)
    words = ("epochs=1", "validation=null", "metrics=[]", "exact=true")
    error = run_ranks(_train, 2, bad, words)[0][0].error
    assert isinstance(error, DataError)
    assert "`x0` has 1 value that is NaN" in error.what
    assert "row 4321" in error.what
    skipping = (*words, "data.on_bad_rows=skip")
    found = {size: run_ranks(_train, size, bad, skipping)[0][0] for size in (1, 3)}
    assert found[1].error is None, found[1].error
    assert found[1].result["weights_sha256"] == found[3].result["weights_sha256"]
    shorter = [span for line in found[3].ledger for span in line.get("spans", ()) if len(span) > 4 and span[5]]
    assert [(stop - start - used, bad) for _, start, stop, _, used, bad in shorter] == [(1, 1)]


def test_what_trains_and_what_is_held_out_share_their_memory(table: Path) -> None:
    for words, follows in (((), True), (("data.memory=1MiB", "precision=fp64"), False)):
        made = apply_overrides(job(table, test=0.1), words)
        member = Member(Order(job=made), slot=0, send=lambda update: None, wishes=Wishes())
        member.prepare()
        member.complete(Alone())
        data = member.built.data
        parts = [feed.rows for feed in (data.train, data.validation, data.test) if feed is not None]
        assert len(parts) == 3
        assert all(isinstance(part, TableRows) and part.follows == follows for part in parts)
        if follows:
            assert sum(part._budget for part in {id(part): part for part in parts}.values()) <= 64 << 10
        else:
            assert len({id(part) for part in parts}) == 1
        member.close()


def test_check_learns_what_the_model_must_know(table: Path) -> None:
    report = check_job(Order(job=job(table)))
    assert (report["samples"], report["validation_samples"]) == (4_800, 1_200)
    assert report["trained"] == 4 * 4 + (8 * 16 + 16) + (16 * 2 + 2)  # four codes of colours, four numbers beside them
