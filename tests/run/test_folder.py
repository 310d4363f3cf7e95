"""The run folder: names, whole lines, and the one history of a run that went back."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from gdist.errors import JobError, RunFailed, RunNotFound, UsageError
from gdist.run import RunFolder, find_run
from gdist.run.lines import append_lines, read_lines
from gdist.run.source import copy_source, verified_job_file


def step(number: int, *, generation: int = 1, loss: float = 1.0) -> dict[str, object]:
    return {"kind": "step", "step": number, "loss": loss, "generation": generation}


def test_a_default_name_that_repeats_is_numbered_also_for_many_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: RunFolder.create(tmp_path, name="digits").name, range(8)))
    assert sorted(names) == ["digits", *(f"digits-{i}" for i in range(2, 9))]


def test_a_name_of_the_users_own_that_exists_is_refused_with_the_way_to_go_on(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, name="mine", numbered=False)
    with pytest.raises(UsageError, match="gdist resume mine"):
        RunFolder.create(tmp_path, name="mine", numbered=False)
    for bad in ("", "..", "@", "a/b", "-x"):
        with pytest.raises(UsageError):
            RunFolder.create(tmp_path, name=bad)


def test_run_dir_may_be_new_or_empty_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    assert RunFolder.create(name="x", run_dir=tmp_path / "empty").path == tmp_path / "empty"
    run = RunFolder.create(name="x", run_dir=tmp_path / "a" / "b")
    with pytest.raises(UsageError, match="not empty"):
        RunFolder.create(name="x", run_dir=tmp_path / "full")
    run.write_job({})
    with pytest.raises(UsageError, match="holds a run"):
        RunFolder.create(name="x", run_dir=run.path)


def test_a_torn_last_line_is_ignored_by_readers_and_cut_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_lines(path, [{"a": 1}, {"a": 2}])
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = [json.loads(line) for line in whole[:cut].decode().split("\n")[:-1]]
        assert list(read_lines(path)) == kept
        append_lines(path, [{"a": 3}])
        assert list(read_lines(path)) == [*kept, {"a": 3}]


def test_a_loss_that_is_not_finite_is_valid_json_and_comes_back_as_a_number(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, name="x")
    run.append_metrics(
        [step(1, loss=math.nan), step(2, loss=-math.inf), step(3, loss=0.1 + 0.2), {**step(4), "loss": torch.tensor(0.5)}]
    )
    for line in (run.path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    losses = [line["loss"] for line in run.metrics("step")]
    assert math.isnan(losses[0])
    assert losses[1:] == [-math.inf, 0.1 + 0.2, 0.5]


def test_a_run_that_went_back_has_one_line_for_each_step(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, name="x")
    run.append_metrics([step(i) for i in range(1, 6)])
    run.append_metrics([{"kind": "evaluation", "step": 5, "generation": 1}])
    run.append_metrics([step(4, generation=2, loss=4.0)])
    assert [line["step"] for line in run.metrics()] == [1, 2, 3, 4]
    assert run.metrics()[-1]["loss"] == 4.0
    run.append_metrics([step(4, generation=1, loss=9.0), step(5, generation=2)])  # a zombie's line does not count
    assert [(line["step"], line["generation"]) for line in run.metrics()] == [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)]
    assert run.metrics()[3]["loss"] == 4.0
    assert run.last_generation() == 2


def test_a_disk_that_refuses_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "gone")
    with pytest.raises(RunFailed, match=r"events\.jsonl"):
        run.append_events([{"event": "started"}])
    with pytest.raises(RunFailed, match=r"result\.json"):
        run.write_result({})


def test_a_run_is_found_by_path_name_prefix_and_age(tmp_path: Path) -> None:
    made = {name: RunFolder.create(tmp_path, name=name) for name in ("digits", "digits-2", "gpt")}
    for run in made.values():
        run.write_job({})
    import os

    for age, name in enumerate(("gpt", "digits-2", "digits")):
        os.utime(made[name].path / "job.json", (1000 - age, 1000 - age))
    assert find_run("digits", root=tmp_path).name == "digits"
    assert find_run("g", root=tmp_path).name == "gpt"
    assert find_run("@", root=tmp_path).name == find_run("last", root=tmp_path).name == "gpt"
    assert find_run(tmp_path / "digits-2", root="elsewhere").name == "digits-2"
    with pytest.raises(RunNotFound, match="did you mean `digits`"):
        find_run("digtis", root=tmp_path)
    with pytest.raises(RunNotFound, match="digits, digits-2"):
        find_run("dig", root=tmp_path)
    with pytest.raises(RunNotFound, match="no run"):
        find_run("x", root=tmp_path / "absent")


def test_the_source_is_copied_with_its_local_modules_and_a_change_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = tmp_path / "jobs"
    (jobs / "own_parts").mkdir(parents=True)
    (jobs / "job_x.py").write_text("import own_parts.layers\njob = 1\n")
    (jobs / "own_parts" / "__init__.py").touch()
    (jobs / "own_parts" / "layers.py").write_text("WIDTH = 3\n")
    (jobs / "unused_part.py").touch()
    monkeypatch.syspath_prepend(str(jobs))
    import importlib

    importlib.import_module("own_parts.layers")
    copy_source(jobs / "job_x.py", tmp_path / "source")
    copied = {path.relative_to(tmp_path / "source").as_posix() for path in (tmp_path / "source").rglob("*.py")}
    assert copied == {"job_x.py", "own_parts/__init__.py", "own_parts/layers.py"}
    assert verified_job_file(tmp_path / "source") == tmp_path / "source" / "job_x.py"
    (tmp_path / "source" / "own_parts" / "layers.py").write_text("WIDTH = 4\n")
    with pytest.raises(JobError, match=r"own_parts/layers\.py"):
        verified_job_file(tmp_path / "source")
    (tmp_path / "source" / "own_parts" / "layers.py").unlink()
    with pytest.raises(JobError, match="is gone"):
        verified_job_file(tmp_path / "source")
    assert verified_job_file(tmp_path / "none") is None


def test_a_run_that_never_began_leaves_its_name_free_and_says_why(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, name="first", numbered=False)
    folder.append_events([{"event": "failed"}])
    folder.write_result({"status": "failed", "reason": "column `x` has 1 infinite value", "steps": 0})
    with pytest.raises(RunNotFound, match="the run `first` never began: column `x` has 1 infinite value") as caught:
        RunFolder.open(folder.path)
    assert "gdist train" in (caught.value.help or "")
    again = RunFolder.create(tmp_path, name="first", numbered=False)
    assert again.path == folder.path
    assert list(again.path.iterdir()) == []
