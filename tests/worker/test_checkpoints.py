"""Checkpoints in the life of a run: written by all, tried again, given up, kept in an object store, taken up again."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
import torch

from gdist.data.tensors import Tensors
from gdist.engine.collective import Alone, Collective
from gdist.errors import CheckpointError, JobError
from gdist.job import Callback
from gdist.job.overrides import apply_overrides
from gdist.records import Membership, Order, Wishes
from gdist.run.checkpoint import list_checkpoints
from gdist.run.folder import RunFolder
from gdist.run.listed import keep_as, listed
from gdist.worker import fence
from gdist.worker.fence import Fence
from gdist.worker.member import Member
from tests.data.storage.servers import ACCESS_KEY, SECRET_KEY, options, s3_server
from tests.ranks import run_ranks
from tests.worker.jobs import JOBS, Trained, arrays
from tests.worker.live import Live

WIDE = ("exact=true", "model.width=24000", "micro_batches=4", "epochs=none", "steps=8")  # 5 MB: enough for several writers


@pytest.fixture(autouse=True)
def _nondeterminism_allowed() -> object:
    yield
    torch.use_deterministic_algorithms(False)


def together(
    collective: Collective,
    overrides: tuple[str, ...],
    run_dir: str,
    resume: bool = False,
    accept: tuple[str, ...] = (),
    job: Any = None,
) -> Trained:
    """One worker of a run all of whose workers are known to see the same folder."""
    trained, folder = Trained(), RunFolder(Path(run_dir))
    made = apply_overrides(job or JOBS["plain"](), overrides)
    order = Order(job=made, resume=resume, run_dir=run_dir, accept=accept)
    member = Member(order, slot=collective.rank, send=trained.send, wishes=Wishes())
    generation = folder.last_generation() + 1 if resume else 1
    workers = tuple((slot, 0) for slot in range(collective.size))
    place = Membership(
        generation=generation, rank=collective.rank, size=collective.size, run_dir=run_dir, workers=workers, restore=resume
    )
    try:
        member.prepare()
        member.join(place, collective)
        trained.result = member.work()
    except Exception as error:
        trained.error = error
        member.outbox.flush()
    member.close()
    if collective.rank == 0:
        folder.append_events(trained.events)
        folder.append_metrics(trained.lines)
    return trained


def begin(tmp_path: Path) -> str:
    return str(RunFolder.create(name="wide", run_dir=tmp_path / "run").path)


def alone(run_dir: str, *overrides: str, **how: Any) -> Trained:
    return together(Alone(), overrides, run_dir, **how)


def test_what_several_workers_wrote_is_taken_up_at_any_worker_count(tmp_path: Path) -> None:
    whole = alone(begin(tmp_path / "whole"), *WIDE)
    run_dir = begin(tmp_path)
    first = run_ranks(together, 2, (*WIDE, "steps=5"), run_dir)
    assert not [str(run.error) for run in first if run.error]
    (saved,) = [e for e in first[0].named("checkpoint") if e["step"] == 5]
    assert saved["parts"] == 2
    then = run_ranks(together, 3, (*WIDE, "steps=7"), run_dir, True)
    assert [run.error for run in then] == [None] * 3
    assert then[0].named("checkpoint")[-1]["parts"] == 3
    last = alone(run_dir, *WIDE, resume=True)
    assert first[0].losses() + then[0].losses() + last.losses() == whole.losses()
    assert last.result["weights_sha256"] == whole.result["weights_sha256"]
    names = [place.folder for place in list_checkpoints(Path(run_dir, "checkpoints"))]
    assert names[-1] == f"step-{last.result['steps']:08d}.g3"


def test_a_damaged_part_is_named_and_the_checkpoint_before_is_taken(tmp_path: Path) -> None:
    run_dir = begin(tmp_path)
    run_ranks(together, 2, (*WIDE, "steps=6", "checkpoint_every=3"), run_dir)
    part = Path(run_dir, "checkpoints", "step-00000006", "optimizer-2-of-2.safetensors")
    content = bytearray(part.read_bytes())
    content[-100] ^= 1
    part.write_bytes(content)
    found = listed(RunFolder(Path(run_dir)), verify=True)
    assert found["checkpoints"][0]["damage"] == []
    assert found["newest_good"] == "step-00000003"
    assert [each["where"] for each in found["checkpoints"][1]["damage"]] == [str(part)]
    rest = alone(run_dir, *WIDE, "steps=7", resume=True)
    assert rest.error is None
    assert rest.lines[0]["step"] == 4
    assert any(str(part) in e["text"] and "altered" in e["text"] for e in rest.named("explained"))


class Widens(Callback):
    """Mends the disk once a checkpoint has failed, and ends the run once one is written."""

    def __init__(self, mend: list[str]) -> None:
        self.mend, self.seen = mend, list[dict[str, Any]]()

    def on_checkpoint(self, event: dict[str, Any], wishes: Wishes) -> None:
        self.seen.append(event)
        if "error" in event and self.mend:
            subprocess.run(self.mend, check=True)
        elif "path" in event:
            wishes.add("stop")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("a disk cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


ENDLESS = ("epochs=none", "steps=10000000", "checkpoint_every=2", "evaluate_every=1000000")


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_full_or_read_only_disk_stops_nothing_and_is_tried_again(small_disk: Path, tmp_path: Path, kind: str) -> None:
    run_dir = RunFolder.create(name="x", run_dir=tmp_path / "run").path
    (run_dir / "checkpoints").symlink_to(small_disk)
    if kind == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    callback = Widens(["mount", "-o", "remount,rw,size=64m", str(small_disk)])
    job = JOBS["plain"]().replace({"callbacks": [callback]})
    trained = alone(str(run_dir), *ENDLESS, "model.width=30000", job=job)
    assert trained.error is None
    assert trained.result["status"] == "stopped"
    failed, written = callback.seen[0], callback.seen[-1]
    assert "cannot be written" in failed["error"]
    assert ("No space left" if kind == "full" else "Read-only") in failed["error"]
    assert failed["again_seconds"] > 0
    assert "safe_step" not in failed, "none is whole yet"
    assert written["step"] > failed["step"], "training went on"
    assert [place.step for place in list_checkpoints(run_dir / "checkpoints")][-1] == trained.result["steps"]


def test_checkpoints_that_fail_for_longer_than_the_job_allows_end_the_run(tmp_path: Path) -> None:
    run_dir = RunFolder.create(name="x", run_dir=tmp_path / "run").path
    (run_dir / "checkpoints").write_text("a file, in the place of the folder")
    trained = alone(str(run_dir), *ENDLESS, "checkpoint_patience=1.5")
    assert isinstance(trained.error, CheckpointError)
    assert "no checkpoint could be written for 1.5 s" in trained.error.what
    assert trained.lines, "it trained until then"


def test_a_worker_that_was_given_up_writes_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "_JOINING_S", 0.1)
    control = tmp_path / "control.json"
    guard = Fence(control)
    guard.begin(3, [(0, 0), (1, 0)])
    assert guard.given_up(3, 60.0) is None, "nobody says anything else"
    control.write_text(json.dumps({"generation": 3}))
    assert guard.given_up(3, 60.0) is None
    control.write_text(json.dumps({"generation": 4}))
    assert "generation 4 goes on without this worker" in str(guard.given_up(3, None))
    guard.begin(4, [(0, 0), (1, 0)])
    assert guard.given_up(3, None) is None, "who has entered it may finish what it began before"


def test_a_zombie_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "_JOINING_S", 0.1)
    run_dir = begin(tmp_path)
    Path(run_dir, "control.json").write_text(json.dumps({"generation": 2}))  # while this one trains in the first
    zombie = alone(run_dir, "steps=3")
    assert isinstance(zombie.error, CheckpointError)
    assert "goes on without this worker" in zombie.error.what
    assert list(Path(run_dir, "checkpoints").iterdir()) == []


def test_another_model_is_refused_with_the_differences_unless_accepted(tmp_path: Path) -> None:
    run_dir = begin(tmp_path)
    alone(run_dir, "steps=4")
    refused = alone(run_dir, "model.width=8", resume=True)
    assert isinstance(refused.error, CheckpointError)
    assert "0.weight (16, 12) is (8, 12) here" in str(refused.error.note)
    assert "--accept model" in str(refused.error.help)
    taken = alone(run_dir, "model.width=8", resume=True, accept=("model",))
    assert taken.error is None
    said = " ".join(e["text"] for e in taken.named("explained"))
    assert "1 of the model's 4 tensors are the checkpoint's" in said
    assert "0.weight (16, 12) is (8, 12) here" in said
    assert taken.lines[0]["step"] == 5


def test_other_data_and_another_batch_size_are_refused_unless_accepted(tmp_path: Path) -> None:
    run_dir = begin(tmp_path)
    alone(run_dir, "steps=4")
    x, y = arrays(seed=5)
    job = JOBS["plain"]().replace({"data": Tensors(features=x[:80], target=y[:80])})
    refused = alone(run_dir, job=job, resume=True)
    assert isinstance(refused.error, JobError)
    assert "--accept data" in f"{refused.error.help}"
    assert alone(run_dir, job=job, resume=True, accept=("data",)).error is None
    other = alone(run_dir, "batch_size=20", "epochs=9", resume=True)
    assert isinstance(other.error, JobError)
    assert alone(run_dir, "batch_size=20", "epochs=9", resume=True, accept=("job", "data")).error is None


def test_the_best_and_named_ones_stay(tmp_path: Path) -> None:
    run_dir = begin(tmp_path)
    run = RunFolder(Path(run_dir))
    first = alone(run_dir, "steps=4", "stop.keep_best=true")
    assert first.error is None
    keep_as(run, "golden", step=4)
    alone(run_dir, "steps=12", "stop.keep_best=true", "keep_checkpoints=1", resume=True)
    names = [(place.name, place.step) for place in list_checkpoints(run.checkpoints)]
    assert ("golden", 4) in names
    assert sum(name is None for name, _ in names) == 1
    assert sum(name == "best" for name, _ in names) == 1


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    with s3_server() as port:
        for name, value in {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }.items():
            monkeypatch.setenv(name, value)
        pafs.S3FileSystem(**options(port), allow_bucket_creation=True).create_dir("bucket")
        yield options(port)


def test_checkpoints_in_an_object_store(tmp_path: Path, store: dict[str, Any]) -> None:
    url = "checkpoints=s3://bucket/models"
    whole = alone(begin(tmp_path / "whole"), *WIDE)
    run_dir = begin(tmp_path)
    first = alone(run_dir, *WIDE, url, "steps=5", "checkpoint_every=1", "keep_checkpoints=2")
    assert first.error is None
    assert not Path(run_dir, "checkpoints").exists()
    found = listed(RunFolder(Path(run_dir)), verify=True)
    assert found["where"] == "s3://bucket/models/run"
    assert [each["damage"] for each in found["checkpoints"]] == [[], []]
    assert found["checkpoints"][-1]["step"] == 5
    rest = alone(run_dir, *WIDE, url, resume=True)
    assert rest.error is None
    assert rest.result["weights_sha256"] == whole.result["weights_sha256"]
    taken = alone(begin(tmp_path / "other"), *WIDE, url, "steps=2")
    assert taken.error is not None
    assert "the checkpoints of another run lie there already" in str(taken.error)
    files = pafs.S3FileSystem(**store)
    newest = f"bucket/models/run/step-{rest.result['steps']:08d}.g2/model.safetensors"
    with files.open_output_stream(newest) as out:
        out.write(b"altered")
    assert listed(RunFolder(Path(run_dir)), verify=True)["checkpoints"][-1]["damage"]


def test_a_store_that_goes_away_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaves(Callback):
        def __init__(self) -> None:
            self.seen: list[dict[str, Any]] = []

        def on_checkpoint(self, event: dict[str, Any], wishes: Wishes) -> None:
            self.seen.append(event)
            if "path" in event and len(self.seen) == 1:
                server.__exit__(None, None, None)
            if "error" in event:
                wishes.add("stop")

    server = s3_server()
    port = server.__enter__()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    pafs.S3FileSystem(**options(port), allow_bucket_creation=True).create_dir("another")
    callback = Leaves()
    job = JOBS["plain"]().replace({"callbacks": [callback]})
    trained = alone(begin(tmp_path), *ENDLESS, "checkpoints=s3://another/x", job=job)
    failed = next(event for event in callback.seen if "error" in event)
    assert "cannot be reached" in failed["error"]
    assert failed["safe_step"] == callback.seen[0]["step"]
    assert failed["step"] > failed["safe_step"], "it trained on meanwhile"
    assert isinstance(trained.error, CheckpointError), "the last one is what a run that ends must have"
    assert SECRET_KEY not in f"{callback.seen} {trained.error}"
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET_KEY


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("point", ["checkpoint_begin", "checkpoint_written", "checkpoint_part", "checkpoint_manifest"])
def test_a_worker_killed_as_it_writes_costs_no_step_and_no_checkpoint_after(tmp_path: Path, point: str, victim: int) -> None:
    if (point, victim) == ("checkpoint_manifest", 1):
        pytest.skip("the first worker alone writes the manifest")
    overrides = ("model.width=24000", "checkpoint_every=4")
    for name in ("run", "quiet"):
        (tmp_path / name).mkdir()
    run = Live("plain", tmp_path / "run", *overrides, faults={victim: f"{point}:kill"}).train()
    still = Live("plain", tmp_path / "quiet", *overrides, workers=1).train()
    assert run.error is None
    assert run.result is not None
    assert still.result is not None
    assert run.result["weights_sha256"] == still.result["weights_sha256"]
    assert [line["step"] for line in run.lines if line["kind"] == "step"] == list(range(1, run.result["steps"] + 1))
    found = listed(run.folder, verify=True)
    assert not any(each["damage"] for each in found["checkpoints"])
    assert found["checkpoints"][-1]["step"] == run.result["steps"]
    assert found["checkpoints"][-1]["folder"] == found["newest_good"]
