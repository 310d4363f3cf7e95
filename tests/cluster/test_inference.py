"""Trained runs put to use on a Ray head that exists already: the numbers of one process, and nothing left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from gdist.api import launch
from gdist.data.tensors import Tensors
from gdist.errors import UserCodeError, WorkerLost
from gdist.records import Interrupt, Order
from gdist.run.ask import order_to
from gdist.worker.local import train_local
from tests.cluster import job_files
from tests.cluster.conftest import Head
from tests.cluster.runs import Seen

pytestmark = pytest.mark.usefixtures("nothing_left")

SLOWLY = """
import time

def slowly(model, batch):
    if batch.rows > 200:  # of the large data that is not to be through before it is disturbed
        time.sleep(0.1)
    return model(batch.features)
"""
LARGE = Tensors(features=torch.zeros(100_000, 8))


@pytest.fixture(scope="module", autouse=True)
def attached(head: Head):  # type: ignore[no-untyped-def]
    from gdist.cluster.attach import AttachedRay

    session = AttachedRay(head.address)
    yield
    session.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    fields = "validation=0.25, metrics=['r2'], epochs=2, predict=slowly"
    job = job_files.regression(folder, before=SLOWLY, fields=fields)
    result = train_local(Order(job_file=job, runs_root=str(folder)), watch=Seen(), interrupt=Interrupt())
    return Path(result["run_dir"])


def ask(purpose: Any, run: Path, seen: Seen, *, workers: int = 2, address: str | None = None, **asked: Any) -> dict[str, Any]:
    order = order_to(purpose, run, **asked)
    local = address is None
    return launch(order, workers=1 if local else workers, address=address, local=local, watch=seen, interrupt=seen.interrupt)


def test_two_workers_find_what_training_found_and_say_how_far_they_are(head: Head, run: Path) -> None:
    seen = Seen()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    found = ask("evaluate", run, seen, address=head.address)
    alone = ask("evaluate", run, Seen())
    assert found["metrics"] == alone["metrics"]
    assert set(found["metrics"]) == {"loss", "r2"}
    assert (found["workers"], found["rows"]) == (2, 128)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if "__pycache__" not in str(path)} == before
    assert [event["event"] for event in seen.events] == ["opened", "finished"]
    assert seen.lines[-1]["rows"] == 128


def test_predictions_are_the_bytes_of_one_process_also_of_data_made_in_python(head: Head, run: Path, tmp_path: Path) -> None:
    data = Tensors(features=torch.randn(300, 8, generator=torch.Generator().manual_seed(5)))
    for name, how in (("two", {"address": head.address}), ("three", {"address": head.address, "workers": 1}), ("one", {})):
        seen = Seen()
        found = ask("predict", run, seen, data=data, out=tmp_path / f"{name}.parquet", **how)
        assert (found["status"], found["rows"], found["columns"]) == ("done", 300, ["row", "prediction"])
    files = [(tmp_path / f"{name}.parquet").read_bytes() for name in ("one", "two", "three")]
    assert files[0] == files[1] == files[2]
    assert pq.read_table(tmp_path / "two.parquet")["row"].to_pylist() == list(range(300))
    assert len(os.listdir(tmp_path)) == 3


def test_a_killed_worker_is_an_error_and_leaves_no_file(head: Head, run: Path, tmp_path: Path) -> None:
    killed: dict[str, float] = {}

    def kill(seen: Seen) -> None:
        victim = next(int(member.split()[0]) for member in head.members() if member.endswith("WorkerActor"))
        killed["at"] = time.monotonic()
        os.kill(victim, signal.SIGKILL)

    with pytest.raises(WorkerLost, match="killed by SIGKILL"):
        ask("predict", run, Seen(on={"opened": kill}), address=head.address, data=LARGE, out=tmp_path / "p.parquet")
    assert time.monotonic() - killed["at"] < 10
    assert os.listdir(tmp_path) == []


def test_a_wish_to_stop_ends_it_early_without_a_file(head: Head, run: Path, tmp_path: Path) -> None:
    seen = Seen(on={"opened": lambda seen: seen.interrupt.stop.set()})
    found = ask("predict", run, seen, address=head.address, data=LARGE, out=tmp_path / "p.parquet")
    assert (found["status"], found["reason"]) == ("stopped", "interrupted")
    assert os.listdir(tmp_path) == []


def test_to_end_now_leaves_nothing_either(head: Head, run: Path, tmp_path: Path) -> None:
    seen = Seen(on={"opened": lambda seen: seen.interrupt.now.set()})
    found = ask("predict", run, seen, address=head.address, data=LARGE, out=tmp_path / "p.parquet")
    assert found["status"] == "stopped"
    assert os.listdir(tmp_path) == []


def test_an_exception_of_the_users_has_its_line(head: Head, run: Path, tmp_path: Path) -> None:
    wrong = Tensors(features=torch.zeros(100, 7))
    with pytest.raises(UserCodeError) as failed:
        ask("predict", run, Seen(), address=head.address, data=wrong, out=tmp_path / "p.parquet")
    assert "return model(batch.features)" in str(failed.value.where)
    assert os.listdir(tmp_path) == []
