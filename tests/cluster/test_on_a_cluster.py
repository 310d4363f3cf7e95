"""Runs on a Ray head that exists already: they train, end in every way, and leave nothing on it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gdist.cluster.driver import train_on_ray
from gdist.errors import JobError, UsageError, UserCodeError, WorkerLost
from gdist.records import Interrupt, Order
from gdist.worker.local import train_local
from tests.cluster import job_files
from tests.cluster.conftest import Head, until_empty
from tests.cluster.runs import Seen, started_driver, train, until_event

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(scope="module", autouse=True)
def attached(head: Head):  # type: ignore[no-untyped-def]
    """One connection for all runs of this module, as in a notebook."""
    from gdist.cluster.attach import AttachedRay

    session = AttachedRay(head.address)
    yield
    session.close()


def test_two_workers_on_ray_train_the_model_of_one_process(head: Head, tmp_path: Path) -> None:
    job = job_files.regression(
        tmp_path, fields="micro_batches=4, epochs=2, exact=True", before='print("made of", len(x), "rows")'
    )
    seen = Seen()
    result = train(job, tmp_path, seen, address=head.address)
    alone = train_local(Order(job_file=job, runs_root=str(tmp_path / "alone")), watch=Seen(), interrupt=Interrupt())
    assert result["status"] == "done"
    assert result["weights_sha256"] == alone["weights_sha256"]
    assert result["workers"] == 2
    assert seen.result() == result
    assert [line["step"] for line in seen.lines if line["kind"] == "step"] == list(range(1, 33))
    names = [event["event"] for event in seen.events]
    assert [name for name in names if name in ("started", "first_step", "finished")] == ["started", "first_step", "finished"]
    assert sorted(seen.output) == [(0, "made of 512 rows"), (1, "made of 512 rows")]
    assert {"job.json", "source", "metrics.jsonl", "events.jsonl", "model.safetensors", "control.json"} <= set(
        os.listdir(seen.run_dir)
    )


def test_a_job_made_in_python_is_sent_to_the_workers_or_refused(head: Head, tmp_path: Path) -> None:
    import torch

    from gdist.job import Job

    x, width, made = torch.randn(64, 4), 8, []
    job = Job(
        model=lambda: torch.nn.Linear(4, 1), loss=lambda model, batch: model(batch.features).square().mean() * width,
        data=(x, x[:, :1]), epochs=1, micro_batches=2, name="made",
    )  # fmt: skip
    seen = Seen()
    order = Order(job=job, runs_root=str(tmp_path / "runs"), overrides=("epochs=2",))
    result = train_on_ray(order, workers=2, address=head.address, watch=seen, interrupt=seen.interrupt)
    assert (result["status"], result["epochs"], seen.run_dir.name) == ("done", 2, "made")
    lock = threading.Lock()
    bad = job.model_copy(update={"loss": lambda model, batch: made.append(lock)})
    with pytest.raises(JobError, match="cannot be sent to the workers"):
        train_on_ray(Order(job=bad), workers=2, address=head.address, watch=seen, interrupt=seen.interrupt)


def test_workers_that_crash_as_the_job_is_loaded_end_the_run_with_their_last_words(head: Head, tmp_path: Path) -> None:
    crash = 'import os; print("about to crash"); os.abort()'
    seen = Seen()
    with pytest.raises(WorkerLost, match=r"[345] workers in a row were lost before they took part") as lost:
        train(job_files.regression(tmp_path, fields="epochs=1", before=crash), tmp_path, seen, address=head.address)
    assert "killed by SIGABRT" in str(lost.value) or "Fatal Python error: Aborted" in str(lost.value)
    assert 3 <= len(seen.named("worker_lost")) <= 6  # each is tried three times, with pauses


def test_an_exception_on_one_worker_ends_the_run_once_with_the_users_own_line(head: Head, tmp_path: Path) -> None:
    seen = Seen()
    with pytest.raises(UserCodeError) as failed:
        train(job_files.raising(tmp_path), tmp_path, seen, address=head.address)
    assert 'raise ValueError("no more of this")' in str(failed.value.where)
    assert [event["error"]["error"] for event in seen.named("failed")] == ["UserCodeError"]
    assert seen.named("worker_lost") == []
    assert seen.checkpoints() == [f"step-{seen.result()['steps']:08d}"]


def test_a_wish_to_stop_ends_all_workers_at_one_step_with_a_checkpoint(head: Head, tmp_path: Path) -> None:
    seen = Seen(on={"first_step": lambda seen: seen.interrupt.stop.set()})
    result = train(job_files.regression(tmp_path, fields=job_files.ENDLESS), tmp_path, seen, address=head.address)
    assert result["status"] == "stopped"
    assert result["reason"] == "interrupted"
    assert seen.named("stopping")[0]["step"] == result["steps"]
    assert seen.checkpoints()[-1] == f"step-{result['steps']:08d}"


def test_to_end_now_waits_for_nothing(head: Head, tmp_path: Path) -> None:
    seen = Seen(on={"first_step": lambda seen: seen.interrupt.now.set()})
    result = train(job_files.regression(tmp_path, fields=job_files.ENDLESS), tmp_path, seen, address=head.address)
    assert result["status"] == "stopped"
    assert seen.result()["status"] == "stopped"


def test_more_workers_than_micro_batches_are_refused_and_a_default_is_lowered(head: Head, tmp_path: Path) -> None:
    job = job_files.regression(tmp_path, fields="micro_batches=1, epochs=1")
    with pytest.raises(UsageError, match="a step has 1 micro-batches"):
        train(job, tmp_path, Seen(), address=head.address, workers=2)
    assert train(job, tmp_path, Seen(), address=head.address, workers=None)["workers"] == 1


def test_more_than_the_cluster_has_is_refused_at_once(head: Head, tmp_path: Path) -> None:
    job = job_files.regression(tmp_path, fields="micro_batches=4, epochs=1, cpus_per_worker=2")
    with pytest.raises(UsageError, match="2 workers of 2 CPUs need 4; the cluster has 2"):
        train(job, tmp_path, Seen(), address=head.address, workers=2)


def test_a_wrong_job_is_reported_as_such(head: Head, tmp_path: Path) -> None:
    job = job_files.regression(tmp_path, fields="micro_batches=4, epoch=1")
    with pytest.raises(JobError, match="epoch"):
        train(job, tmp_path, Seen(), address=head.address)


def test_a_full_cluster_is_waited_for_and_that_is_said(head: Head, tmp_path: Path) -> None:
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    taken = placement_group([{"CPU": 2}])
    assert taken.wait(10)
    seen = Seen(on={"explained": lambda seen: seen.interrupt.stop.set()})
    result = train(job_files.regression(tmp_path, fields=job_files.ENDLESS), tmp_path, seen, address=head.address)
    assert result["status"] == "stopped"
    assert "waiting for room on the cluster: 2 CPUs are needed, 0 CPUs are free" in seen.named("explained")[0]["text"]
    remove_placement_group(taken)
    assert until_empty(lambda: [] if ray.available_resources().get("CPU") == 2 else ["in use"]) == []


def test_a_killed_driver_ends_its_run_with_a_checkpoint_and_gives_the_room_back(head: Head, tmp_path: Path) -> None:
    import ray

    job = job_files.regression(tmp_path, fields=job_files.ENDLESS)
    with started_driver(job, tmp_path, head.address, environment=head.environment) as driver:
        run_dir = Path(until_event(driver, "started")["run_dir"])
        until_event(driver, "first_step")
    assert until_empty(head.members) == []
    assert '"status": "stopped"' in (run_dir / "result.json").read_text()
    assert len(list((run_dir / "checkpoints").glob("step-*"))) == 1
    assert until_empty(lambda: [] if ray.available_resources().get("CPU") == 2 else ["in use"]) == []
