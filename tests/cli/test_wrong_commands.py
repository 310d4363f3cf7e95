"""What a wrong command or a wrong job is told, to the letter; with exit code 2 (5: no such run), and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import TINY, Gdist, write_job

WRONG_COMMANDS = {
    "trian tiny.py": """\
error: unknown verb `trian`
  --> command line: gdist trian
help: did you mean `gdist train`?
""",
    "tiny.py": """\
error: a verb comes first
  --> command line: gdist tiny.py
help: to train it: gdist train tiny.py
""",
    "train": """\
error: which job?
help: name one: gdist train jobs/digits.py
""",
    "train tiney.py": """\
error: there is no job file `tiney.py`
  --> command line: tiney.py
help: did you mean `tiny.py`?
""",
    "train .": """\
error: `.` is a folder, not a job file
  --> command line: .
help: name the file: tiny.py
""",
    "train tiny.py epochs 5": """\
error: one job is wanted, 3 were given
  --> command line: tiny.py epochs 5
help: a field of the job is set with `=`: epochs=VALUE
""",
    "train tiny.py --worker 2": """\
error: unknown option `--worker`
  --> command line: gdist train tiny.py --worker 2
help: did you mean `--workers`? all options: gdist train --help
""",
    "train tiny.py --workers two": """\
error: `two` is no number of workers
  --> --workers two
help: a number, or least:most such as 1:8
""",
    "train tiny.py --workers 8:1": """\
error: at least 8 and at most 1 workers contradict each other
  --> --workers 8:1
help: the least first: 1:8
""",
    "train tiny.py --workers 0": """\
error: there cannot be 0 workers
  --> --workers 0
help: one is the least
""",
    "train tiny.py --local --workers 2": """\
error: --local is one process of this machine: --workers 2 cannot act
help: leave one of the two out
""",
    "train tiny.py --json --plain": """\
error: --json and --plain are two ways to print
help: leave one of the two out
""",
    "train tiny.py --name a --run-dir b": """\
error: --name and --run-dir both say where the run lies
help: leave one of the two out
""",
    "check --fields optimizr": """\
error: unknown part `optimizr`
  --> command line: --fields optimizr
help: did you mean `optimizer`? parts with fields: validation, optimizer, schedule, clip, stop
""",
    "resume tiny": """\
error: no run `tiny`
  --> runs
help: there is no run in that folder; name another with --runs DIR, or give the run's path
""",
}

# words after the job file, what is replaced in TINY, by what, and the message
WRONG_JOBS = {
    "a field that is not there": (
        "optimizer.learning_rate=3e-4",
        "",
        "",
        """\
error: unknown field `optimizer.learning_rate`
  --> command line: optimizer.learning_rate=3e-4
note: the optimizer is adamw
help: did you mean `optimizer.lr`? fields of optimizer: lr, weight_decay, decay, betas, eps, amsgrad
""",
    ),
    "a field of a part, without the part": (
        "lr=0.1",
        "",
        "",
        """\
error: unknown field `lr`
  --> command line: lr=0.1
help: did you mean `optimizer.lr`? all fields: gdist check --fields
""",
    ),
    "a value of another type": (
        "epochs=ten",
        "",
        "",
        """\
error: `epochs` must be a whole number >= 1 or None, not 'ten'
  --> command line: epochs=ten
help: epochs = passes over the training data; 10 if nothing else ends the run
""",
    ),
    "two fields that contradict each other": (
        "epochs=3 steps=5",
        "",
        "",
        """\
error: `epochs`=3 and `steps`=5 both say when to end
  --> command line: epochs=3 steps=5
help: set one of them
""",
    ),
    "an argument that the model does not take": (
        "model.widht=8",
        "",
        "",
        """\
error: the model takes no argument `widht`
  --> command line: model.widht=8
help: did you mean `model.width`? its arguments: width
""",
    ),
    "a file that is not Python": (
        "",
        "batch_size=32,",
        "batch_size=32,,",
        """\
error: tiny.py is not valid Python: invalid syntax
  --> tiny.py:LINE:  batch_size=32,,
""",
    ),
    "a module that is not installed": (
        "",
        "print(",
        "import lightgbm\nprint(",
        """\
error: tiny.py failed while it was loaded
  --> tiny.py:LINE:  import lightgbm
note: ModuleNotFoundError: No module named 'lightgbm'
help: is lightgbm installed here? pip install lightgbm
""",
    ),
    "a file without a job": (
        "",
        "job = Job(",
        "task = Job(",
        """\
error: tiny.py defines no `job`
  --> tiny.py
help: call it job: job = task
""",
    ),
    "a field out of its range": (
        "",
        "batch_size=32",
        "batch_size=0",
        """\
error: `batch_size` must be a whole number >= 1 or 'full', not 0
  --> tiny.py:LINE:  batch_size=0,
help: batch_size = samples of a step, over all workers, at least 1; 'full': all there are
""",
    ),
    "a loss that nobody knows": (
        "",
        'loss="cross_entropy"',
        'loss="cross_entrpy"',
        """\
error: `loss` must be a known loss, not 'cross_entrpy'
  --> tiny.py:LINE:  loss="cross_entrpy",
help: did you mean 'cross_entropy'? losses: mse, mae, huber, cross_entropy, binary_cross_entropy, hinge; \
or a function loss(model, batch)
""",
    ),
    "data that is not there": (
        "",
        "data=(x, y)",
        'data=Parquet(path="/nowhere/train.parquet")',
        """\
error: no such data file or folder
  --> /nowhere/train.parquet
note: the folder /nowhere does not exist
""",
    ),
    "more classes than the model has outputs": (
        "",
        ".long()",
        ".long() + 1",
        """\
error: the target has class 2, and the model has outputs for classes 0 to 1
  --> row 26
note: 3 of 8 rows of this micro-batch
help: give the model an output for each class; to leave rows out: a loss that returns Loss(mean, weight=rows used)
""",
    ),
    "a mistake in the job's own code": (
        "",
        'loss="cross_entropy"',
        "loss=lambda model, batch: model(batch.feature).mean()",
        """\
error: one micro-batch through the model failed
  --> tiny.py:LINE in <lambda>: loss=lambda model, batch: model(batch.feature).mean(),
note: AttributeError: 'Batch' object has no attribute 'feature'
""",
    ),
}


@pytest.mark.parametrize("line", WRONG_COMMANDS)
def test_a_wrong_command_is_told_what_and_the_mend(gdist: Gdist, tmp_path: Path, line: str) -> None:
    write_job(tmp_path)
    ended = gdist(*line.split(), cwd=tmp_path)
    assert (ended.stdout, ended.stderr) == ("", WRONG_COMMANDS[line])
    assert ended.returncode == (5 if line.startswith("resume") else 2)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("what", WRONG_JOBS)
def test_a_wrong_job_is_told_field_value_and_the_mend_and_nothing_is_started(gdist: Gdist, tmp_path: Path, what: str) -> None:
    words, old, new, message = WRONG_JOBS[what]
    text = TINY.replace("import Callback, Job", "import Callback, Job, Parquet").replace(
        'print("hello from the job file")', "print()"
    )
    path = write_job(tmp_path, text.replace(old, new) if old else text)
    ended = gdist("train", "tiny.py", "--local", *words.split(), cwd=tmp_path)
    at = next(
        (i for i, line in enumerate(path.read_text().splitlines(), 1) if new.splitlines() and new.splitlines()[0] in line), 0
    )
    assert ended.stderr == message.replace("LINE", str(at))
    assert ended.returncode == 2
    assert ended.stdout.strip() == ""
    assert not (tmp_path / "runs").exists()


def test_a_name_that_exists_is_refused(gdist: Gdist, tmp_path: Path) -> None:
    write_job(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    ended = gdist("train", "tiny.py", "--local", "--name", "mine", cwd=tmp_path)
    assert ended.returncode == 2
    assert (
        ended.stderr
        == """\
error: a run named `mine` exists already
  --> runs/mine
help: choose another --name, or go on with it: gdist resume mine
"""
    )
