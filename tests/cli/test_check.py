"""``gdist check``: the report, the job as resolved, and what can be set."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import Gdist, write_job

REPORT = """\
hello from the job file
tiny is ready to train on cpu

  model             178 parameters
  memory            2.8 kB in each worker (weights 712 B, gradients 712 B,
                    optimizer 1.4 kB), and the activations
  data              160 samples, 40 to validate
  steps             5 in an epoch, 15 in all
  batch             32 samples, cut into 4 micro-batches of 8
  even at           1, 2, 4 workers
  passes            one for each micro-batch: """


def test_check_says_what_would_run_and_writes_nothing(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    ended = gdist("check", "tiny.py", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(REPORT)
    assert ended.stdout.endswith("\ntrain it: gdist train tiny.py --workers 4\n")
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith((".", "__"))} == {"tiny.py"}


def test_check_as_json_is_one_object_alone_on_standard_output(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    ended = gdist("check", "tiny.py", "--json", "optimizer.lr=0.5", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "hello from the job file\n")
    found = json.loads(ended.stdout)
    assert (found["parameters"], found["even_workers"], found["plan"]["optimizer"]["lr"]) == (178, [1, 2, 4], 0.5)


def test_the_plan_is_every_field_as_an_override(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    lines = gdist("check", "tiny.py", "--plan", "model.width=8", "optimizer=sgd", cwd=tmp_path).stdout.splitlines()
    assert {"model.width=8", "optimizer=sgd", "optimizer.lr=0.01", "batch_size=32", "micro_batches=4", "epochs=3"} <= set(lines)


def test_fields_are_those_of_the_part_as_the_job_has_it(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    ended = gdist("check", "tiny.py", "--fields", "optimizer", "optimizer=momentum", cwd=tmp_path)
    assert ended.returncode == 0
    assert "  optimizer.nesterov   (default False)\n" in ended.stdout
    assert "amsgrad" not in ended.stdout


def test_fields_of_a_split_are_those_of_validation(gdist: Gdist, tmp_path: Path) -> None:
    ended = gdist("check", "--fields", "validation", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "  validation.share   (default None)\n" in ended.stdout
    assert "  validation.column   (default None)\n" in ended.stdout
    assert "a list of values or" in " ".join(ended.stdout.split())


def test_fields_need_no_job_and_fit_80_columns(gdist: Gdist, tmp_path: Path) -> None:
    ended = gdist("check", "--fields", cwd=tmp_path)
    assert ended.returncode == 0
    assert "  batch_size   (default 64)\n" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80
