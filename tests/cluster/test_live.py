"""Runs on a Ray head whose workers, agents and controller are killed, stopped, scaled and drained while they train.

What a run must come to is read from what it wrote: no step lost or twice, every sample once, and with ``exact`` the weights
of a quiet run in one process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gdist.cluster.reach import reach
from gdist.errors import WorkerLost
from gdist.records import Interrupt, Order
from gdist.worker.local import train_local
from tests.cluster import job_files
from tests.cluster.conftest import Head, family, title_of, until_empty
from tests.cluster.live import Live, Script
from tests.cluster.runs import Seen

pytestmark = pytest.mark.usefixtures("nothing_left")

GAP_S = 5.0  # without a step, on a machine that does much else; benchmarks/faults.py measures it


@pytest.fixture(scope="module", autouse=True)
def attached(head: Head) -> Iterator[None]:
    from gdist.cluster.attach import AttachedRay

    session = AttachedRay(head.address)
    yield
    session.close()


def train(head: Head, folder: Path, script: Script, *, workers: Any = 2, fields: str = job_files.ENDLESS, **job: Any) -> Live:
    """Trains until ``script`` is done, and proves what every live change must leave behind."""
    live = Live(job_files.regression(folder, fields=f"{fields}, exact=True", **job), folder, head.address)
    live.train(script, workers=workers)
    live.prove()
    return live


def quiet_weights(live: Live, folder: Path) -> str:
    """The weights of as many steps of the same job in one process, undisturbed."""
    job = folder / "quiet.py"
    job.write_text(Path(live.job).read_text().replace("epochs=10**6", f"steps={live.result['steps']}"))
    order = Order(job_file=str(job), runs_root=str(folder / "quiet"))
    return str(train_local(order, watch=Seen(), interrupt=Interrupt())["weights_sha256"])


def test_killed_workers_are_replaced_and_nothing_is_lost(head: Head, tmp_path: Path) -> None:
    def script(live: Live) -> None:
        for victims in ((0,), (1,), (0, 1)):
            for victim in victims:
                os.kill(live.pid_of(victim), signal.SIGKILL)
            live.until_workers(2)
            live.steps(5)

    live = train(head, tmp_path, script, fields=job_files.ENDLESS.replace("checkpoint_every=10**9", "checkpoint_every=5"))
    lost = live.seen.named("worker_lost")
    assert sorted(e["worker"] for e in lost) == [0, 0, 1, 1]
    assert {e["cause"] for e in lost} == {"killed by SIGKILL"}
    assert live.result["weights_sha256"] == quiet_weights(live, tmp_path)
    generations = live.seen.named("generation")
    assert [(e["members"], e["left"], e["reason"]) for e in (generations[1], generations[3])] == [
        ([1], [0], "worker 0 was lost"), ([0], [1], "worker 1 was lost")
    ]  # fmt: skip
    assert max(generations[1]["pause_seconds"], generations[3]["pause_seconds"]) < GAP_S
    both = generations[5]
    assert both["reason"] == "worker 0 and worker 1 were lost"
    assert both["joined"] == both["members"]
    assert all(step["generation"] >= both["generation"] for step in live.redone)  # nobody was left who had them


def test_a_run_is_scaled_and_drained_from_another_terminal(head: Head, tmp_path: Path) -> None:
    def script(live: Live) -> None:
        with reach(live.run_dir) as controller:
            controller.scale(2, 2)
            live.until_workers(2)
            live.steps(3)
            assert controller.drain("worker-1") == [1]
            assert controller.drain("worker-7") == []
            live.until_workers(2)  # another has taken its place
            live.steps(3)
            controller.scale(1, 1)
            live.until_workers(1)
            live.steps(3)
            described = controller.describe()
        assert [each["worker"] for each in described["workers"]] == [0]
        assert (described["least"], described["most"], described["phase"]) == (1, 1, "training")

    live = train(head, tmp_path, script, workers="1:1", fields=job_files.ENDLESS + ", cpus_per_worker=0.5")
    assert [e["reason"] for e in live.seen.named("generation") if e["workers"] != 2][-1] == "asked to scale"
    assert live.seen.named("generation")[1]["reason"] == "asked to scale"
    assert [(e["worker"], e["reason"]) for e in live.seen.named("leaving")] == [(1, "asked to leave")]
    assert live.seen.named("worker_lost") == []
    assert live.redone == []
    assert live.result["weights_sha256"] == quiet_weights(live, tmp_path)


def test_a_run_with_bounds_grows_by_itself_and_a_worker_that_must_go_is_replaced(head: Head, tmp_path: Path) -> None:
    def script(live: Live) -> None:
        live.until_workers(2)
        live.steps(2)
        os.kill(live.pid_of(0), signal.SIGTERM)
        live.until_workers(2)
        live.steps(2)

    live = train(head, tmp_path, script, workers="1:2", fields=job_files.ENDLESS + ", cpus_per_worker=0.5")
    assert [(e["worker"], e["reason"]) for e in live.seen.named("leaving")] == [(0, "SIGTERM")]
    assert live.seen.named("worker_lost") == []
    assert live.redone == []


def test_a_killed_controller_and_a_killed_agent_are_replaced_and_a_stopped_worker_is_found(head: Head, tmp_path: Path) -> None:
    def agents() -> list[int]:
        return [pid for pid in family(head.pids) if title_of(pid).endswith("NodeAgent")]

    def script(live: Live) -> None:
        assert until_empty(lambda: [] if agents() else ["no agent yet"]) == []
        before = agents()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert until_empty(lambda: [] if set(agents()) - set(before) else ["no new agent"]) == []
        os.kill(live.seen.control()["controller_pid"], signal.SIGKILL)
        live.until(lambda e: e["event"] == "controller")
        live.steps(5)
        with reach(live.run_dir) as controller:
            assert {each["worker"] for each in controller.describe()["workers"]} == {0, 1}
        stopped = live.pid_of(1)
        os.kill(stopped, signal.SIGSTOP)
        live.until(lambda e: e["event"] == "hung" and e["worker"] == 1)
        live.until(lambda e: e["event"] == "generation" and e["members"] == [0])
        live.steps(2)
        assert not os.path.exists(f"/proc/{stopped}")
        live.until_workers(2)
        live.steps(2)

    live = train(head, tmp_path, script)
    assert [e["worker"] for e in live.seen.named("worker_lost")] == [1]
    assert live.redone == []
    assert live.seen.named("generation")[1]["pause_seconds"] < GAP_S
    assert live.result["weights_sha256"] == quiet_weights(live, tmp_path)


POISON = """
import os
from pathlib import Path

def loss(model, batch):
    if Path(ARMED).exists() and bool((batch.target == y[77]).any()):
        os._exit(9)
    return ((model(batch.features) - batch.target) ** 2).mean()
"""


def test_rows_that_kill_whoever_reads_them_end_the_run_and_are_named(head: Head, tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    before = POISON.replace("ARMED", repr(str(armed)))

    def script(live: Live) -> None:
        armed.touch()
        live.until_over()

    with pytest.raises(WorkerLost) as lost:
        train(head, tmp_path, script, before=before, loss="loss")
    assert "two workers died in the same place" in str(lost.value)
    assert "77" in str(lost.value)


def test_rows_that_kill_are_left_out_where_the_job_allows_that(head: Head, tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    before = POISON.replace("ARMED", repr(str(armed)))

    def script(live: Live) -> None:
        armed.touch()
        live.until(lambda e: e["event"] == "poisoned")
        armed.unlink()  # they come again in the next epoch
        live.until_workers(2)
        live.steps(40)

    fields = f"{job_files.ENDLESS.replace('checkpoint_every=10**9', 'checkpoint_every=5')}, poisoned='skip'"
    live = train(head, tmp_path, script, before=before, loss="loss", fields=fields)
    (poisoned,) = live.seen.named("poisoned")
    assert (poisoned["deaths"], poisoned["then"]) == (2, "skip")
    first, end = poisoned["micro_batches"]
    assert live.result["bad_rows"] == 8 * (end - first)
